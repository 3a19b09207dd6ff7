/** Which task an update fails by, why, and what it wrote last: in words for its status. */
import { type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { describeEnd } from '../restart-policy.ts';
import { compareKeys, type ServiceState, type SlotState } from '../service-state.ts';
import { hasEnded, isWanted, stateOf } from '../task-facts.ts';

export interface Blame {
  /** Empty when it is not known any more. */
  readonly task: string;
  readonly text: string;
  readonly log: readonly string[];
}

/** The failed task of the first slot that has one, and why it failed while it is still known. */
export function blameFailure(state: ServiceState): Blame {
  const slot = firstOf(state.slots.values(), ({ summary }) => summary.failedTask !== '' && !summary.suspended);
  const id = slot?.summary.failedTask ?? '';
  const task = slot?.tasks.find((one) => one.id === id);
  const why = task === undefined ? id : `${id}: ${describeEnd(task)}`;
  return {
    task: id,
    text: `due to failure or early termination of task ${why}`,
    log: slot === undefined ? [] : lastLines(slot, task),
  };
}

/** The task that the update has waited for the longest, and what it waits for itself. */
export function blameStall(state: ServiceState): Blame {
  const oldestMs = Math.min(...[...state.waiting].map(({ summary }) => summary.waitsSinceMs));
  const slot = firstOf(state.waiting, ({ summary }) => summary.waitsSinceMs === oldestMs);
  const task = slot === undefined ? undefined : newestOf(slot.tasks);
  if (slot === undefined || task === undefined) return { task: '', text: 'there is no task', log: [] };
  return { task: task.id, text: `task ${task.id} ${whyItWaits(task)}`, log: lastLines(slot, task) };
}

/** In a few words: where the task is on its way. */
function whyItWaits(task: Task): string {
  const { status, holdReason } = task;
  if (holdReason !== '') return `is held back: ${holdReason}`;
  const reason = status?.error || status?.message || '';
  const because = reason === '' ? '' : `: ${reason}`;
  switch (stateOf(task)) {
    case TaskState.UNSPECIFIED:
    case TaskState.NEW:
      return `has no addresses${because}`;
    case TaskState.PENDING:
      return `has no node${because}`;
    case TaskState.ASSIGNED:
    case TaskState.ACCEPTED:
      return `was not begun by its node${because}`;
    case TaskState.PREPARING:
      return `is being prepared${because}`;
    case TaskState.READY:
    case TaskState.STARTING:
      return `does not come up${because}`;
    case TaskState.RUNNING: {
      const check = status?.health?.message ?? '';
      return `runs and is not ready${check === '' ? '' : `: ${check}`}`;
    }
    default:
      return `has ended: ${describeEnd(task)}`;
  }
}

/** Of the task, else of the one before it in the slot that has any. */
function lastLines(slot: SlotState, task: Task | undefined): readonly string[] {
  const own = task?.status?.lastLog ?? [];
  if (own.length > 0) return own;
  const failed = slot.tasks.filter((one) => hasEnded(one) && (one.status?.lastLog.length ?? 0) > 0);
  return newestOf(failed)?.status?.lastLog ?? [];
}

/** Those that are wanted before those that are not. */
function newestOf(tasks: readonly Task[]): Task | undefined {
  return [...tasks]
    .sort(
      (a, b) => Number(isWanted(a)) - Number(isWanted(b)) || a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1),
    )
    .at(-1);
}

function firstOf(slots: Iterable<SlotState>, isMeant: (slot: SlotState) => boolean): SlotState | undefined {
  let first: SlotState | undefined;
  for (const slot of slots)
    if (isMeant(slot) && (first === undefined || compareKeys(slot.key, first.key) < 0)) first = slot;
  return first;
}
