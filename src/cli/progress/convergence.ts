/**
 * Whether a service runs as declared, and what to show meanwhile. Docker's rules: a slot counts by its task with the
 * lowest desired state, tasks on lost nodes do not count, and a service has converged when as many tasks run as should.
 */
import type { TaskView } from '#gen/swarm/v1/control.ts';
import { type Node, NodeState, type Service, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { TASK_STATES } from '../../docker-shape/from-objects.ts';
import { isServing, notReadyText } from '../format/task-problem.ts';
import { shortId } from '../format/texts.ts';
import type { ProgressLine } from './progress-lines.ts';

/** With more tasks than this only their number is shown. */
const TASK_LINES_MAX = 20;

/** Columns of a reason, so that it stays on one line of a narrow terminal. */
const REASON_COLUMNS = 75;

/** Columns of the longest state. */
const STATE_COLUMNS = 'preparing'.length;

/** The states of a task that is coming up, in order; their place is the length of its bar. */
const STEPS: readonly TaskState[] = [
  TaskState.NEW,
  TaskState.NEW, // Docker counts an allocated state here, which no task is ever seen in.
  TaskState.PENDING,
  TaskState.ASSIGNED,
  TaskState.ACCEPTED,
  TaskState.PREPARING,
  TaskState.READY,
  TaskState.STARTING,
  TaskState.RUNNING,
];

export interface Snapshot {
  readonly service: Service;
  /** Revisions whose tasks are as good as those of the present one; absent: only that one. */
  readonly alike?: ReadonlySet<number>;
  /** Tasks of the service, of any revision. */
  readonly tasks: readonly TaskView[];
  readonly nodes: readonly Node[];
  readonly isRollingBack: boolean;
}

export interface Judgement {
  readonly hasConverged: boolean;
  readonly lines: readonly ProgressLine[];
}

/** Judges one snapshot after the other; it remembers which line a slot has and what had converged. */
export class ConvergenceWatcher {
  readonly #lineOfSlot = new Map<string, number>();
  #isFirst = true;
  #hadConverged = false;

  judge(snapshot: Snapshot): Judgement {
    const current = currentTasks(snapshot);
    const isGlobal = snapshot.service.spec?.mode?.kind === 'global';
    const wanted = isGlobal ? current.size : replicasOf(snapshot.service);
    if (isGlobal && this.#isFirst && wanted === 0)
      return { hasConverged: false, lines: [{ id: 'overall progress', text: 'waiting for new tasks' }] };
    const lines: ProgressLine[] = [];
    if (this.#isFirst) lines.push(...this.#firstLines(wanted, isGlobal, snapshot.isRollingBack));
    this.#isFirst = false;
    if ([...current.values()].some(({ task }) => !isServing(task))) this.#hadConverged = false;
    let running = 0;
    for (const [slot, { task, reason }] of current) {
      if (isRunning(task)) running++;
      const id = isGlobal ? shortId(task.nodeId) : this.#slotLine(slot, wanted);
      if (this.#hadConverged || wanted > TASK_LINES_MAX || id === undefined) continue;
      const line = taskLine(id, task, reason);
      if (line !== undefined) lines.push(line);
    }
    const hasConverged = running === wanted;
    if (!this.#hadConverged) lines.push(overall(running, wanted, snapshot.isRollingBack));
    if (hasConverged) this.#hadConverged = true;
    return { hasConverged, lines };
  }

  #firstLines(wanted: number, isGlobal: boolean, isRollingBack: boolean): readonly ProgressLine[] {
    const lines = [overall(0, wanted, isRollingBack)];
    if (!isGlobal && wanted <= TASK_LINES_MAX)
      for (let i = 1; i <= wanted; i++) lines.push({ id: `${i}/${wanted}`, text: ' ' });
    return lines;
  }

  /** Slots are numbered in the order in which they are first seen. */
  #slotLine(slot: string, wanted: number): string | undefined {
    let line = this.#lineOfSlot.get(slot);
    if (line === undefined) {
      line = this.#lineOfSlot.size + 1;
      this.#lineOfSlot.set(slot, line);
    }
    return line <= wanted ? `${line}/${wanted}` : undefined;
  }
}

interface CurrentTask {
  readonly task: Task;
  /** Why the slot does not run: the task's own reason, else that of the one it replaced. */
  readonly reason: string;
}

function replicasOf({ spec }: Service): number {
  return spec?.mode?.kind === 'replicated' ? spec.mode.value.replicas : 0;
}

/** The task that counts for each slot (or node), by slot. */
function currentTasks({ service, alike, tasks, nodes }: Snapshot): ReadonlyMap<string, CurrentTask> {
  const isLost = ({ status }: Node): boolean =>
    status?.state === NodeState.DOWN || status?.state === NodeState.DISCONNECTED;
  const lost = new Set(nodes.filter(isLost).map((node) => node.id));
  const known = new Set(nodes.map((node) => node.id));
  const chosen = new Map<string, Task>();
  const failures = new Map<string, Task>();
  const isUpToDate = ({ revision, desiredState, status }: Task): boolean =>
    (revision === service.revision || alike?.has(revision) === true) &&
    desiredState !== TaskState.REMOVE &&
    status?.state !== TaskState.ORPHANED;
  const sorted = tasks.map(({ task }) => task as Task).toSorted((a, b) => a.slot - b.slot);
  for (const task of sorted) {
    if (!isUpToDate(task)) continue;
    const slot = task.slot > 0 ? String(task.slot) : task.nodeId;
    const failure = failures.get(slot);
    if (task.status?.error && (failure === undefined || failure.createdAtMs < task.createdAtMs))
      failures.set(slot, task);
    const other = chosen.get(slot);
    if (other !== undefined && !comesBefore(task, other)) continue;
    if (task.nodeId !== '' && (lost.has(task.nodeId) || !known.has(task.nodeId))) continue;
    chosen.set(slot, task);
  }
  return new Map([...chosen].map(([slot, task]) => [slot, { task, reason: reasonOf(task, failures.get(slot)) }]));
}

function comesBefore(task: Task, other: Task): boolean {
  if (task.desiredState !== other.desiredState) return task.desiredState < other.desiredState;
  return (task.status?.state ?? 0) < (other.status?.state ?? 0);
}

function reasonOf(task: Task, failed: Task | undefined): string {
  if (isRunning(task)) return '';
  return task.status?.error || task.holdReason || notReadyText(task) || failed?.status?.error || '';
}

function isEnded(state: TaskState): boolean {
  return state > TaskState.RUNNING;
}

function isRunning(task: Task): boolean {
  return !isEnded(task.desiredState) && isServing(task);
}

function overall(running: number, wanted: number, isRollingBack: boolean): ProgressLine {
  const prefix = isRollingBack ? 'rolling back update: ' : '';
  return { id: 'overall progress', text: `${prefix}${running} out of ${wanted} tasks` };
}

function taskLine(id: string, task: Task, reason: string): ProgressLine | undefined {
  if (reason !== '') return { id, text: cutReason(reason) };
  const state = task.status?.state ?? TaskState.NEW;
  if (isEnded(task.desiredState) || isEnded(state)) return undefined;
  const done = (STEPS.lastIndexOf(state) + 1) / STEPS.length;
  return { id, text: TASK_STATES[state].padEnd(STATE_COLUMNS), done };
}

function cutReason(reason: string): string {
  const line = reason.replaceAll('\n', ' ');
  return line.length > REASON_COLUMNS ? `${line.slice(0, REASON_COLUMNS - 1)}…` : line;
}
