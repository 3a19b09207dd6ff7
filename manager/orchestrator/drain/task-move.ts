/** How far a task is that was told to leave its node, read from its slot. */
import { type Node, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { describeEnd } from '../restart-policy.ts';
import { byAge, newestKept, newestWanted } from '../slot-tasks.ts';
import { hasEnded, isAssigned, isHealthy, isWanted, stateOf, workedSinceMs } from '../task-facts.ts';

export interface TaskMove {
  /**
   * - `moving`: it goes on by itself
   * - `stuck`: it waits for something that a drain cannot bring about; it holds up nobody else
   * - `done`: what took its place does its work
   */
  readonly kind: 'moving' | 'stuck' | 'done';
  /** What is waited for. */
  readonly why: string;
}

const DONE: TaskMove = { kind: 'done', why: '' };

export function taskMove(task: Task, slot: Iterable<Task>, nodeOf: (id: string) => Node | undefined): TaskMove {
  const tasks = byAge([...slot]);
  const newest = newestWanted(tasks);
  const successor = newest?.id === task.id ? undefined : newest;
  if (hasEnded(task)) {
    // The one that came after it has a story of its own once it has worked, or has failed.
    if (successor === undefined || isHealthy(successor) || hasEnded(successor)) return DONE;
    return hasFailed(successor, task) || !follows(successor, task, tasks) ? DONE : comingUp(successor, nodeOf);
  }
  if (!isWanted(task)) return { kind: 'moving', why: 'it stops' };
  if (successor !== undefined) {
    return hasFailed(successor, task) ? failing(successor, tasks, nodeOf) : comingUp(successor, nodeOf);
  }
  const last = newestKept(tasks);
  if (last !== undefined && last.id !== task.id && last.finalReason !== '')
    return { kind: 'stuck', why: `its replacement was given up: ${last.finalReason}` };
  return { kind: 'moving', why: 'its replacement is made' };
}

/** What took the task's place has failed before. */
function hasFailed(successor: Task, task: Task): boolean {
  return successor.restartAttempt > task.restartAttempt;
}

/** Nothing that came between the two has worked. */
function follows(successor: Task, task: Task, tasks: readonly Task[]): boolean {
  let before = successor.replaces;
  // Each step goes to one that is older: there are no more of them than tasks.
  for (let steps = tasks.length; steps > 0 && before !== task.id; steps--) {
    const between = tasks.find(({ id }) => id === before);
    if (between === undefined || workedSinceMs(between) > 0) return false;
    before = between.replaces;
  }
  return before === task.id;
}

function comingUp(successor: Task, nodeOf: (id: string) => Node | undefined): TaskMove {
  const { status } = successor;
  if (!isAssigned(successor)) {
    const why = status?.error ?? '';
    return why === '' ? { kind: 'moving', why: 'its replacement is placed' } : { kind: 'stuck', why };
  }
  if (hasEnded(successor)) return { kind: 'stuck', why: `its replacement failed: ${describeEnd(successor)}` };
  const where = ` on ${nameOf(successor.nodeId, nodeOf)}`;
  if (stateOf(successor) === TaskState.RUNNING) {
    const message = status?.health?.message ?? '';
    return {
      kind: 'moving',
      why: `its replacement${where} is not healthy yet${message === '' ? '' : ` (${message})`}`,
    };
  }
  return { kind: 'moving', why: `its replacement${where} comes up` };
}

function failing(successor: Task, tasks: readonly Task[], nodeOf: (id: string) => Node | undefined): TaskMove {
  const before = tasks.find(({ id }) => id === successor.replaces);
  const end = before === undefined || !hasEnded(before) ? '' : `: ${describeEnd(before)}`;
  const where = successor.nodeId === '' ? '' : ` on ${nameOf(successor.nodeId, nodeOf)}`;
  return { kind: 'stuck', why: `its replacement${where} is restarted${end}` };
}

function nameOf(nodeId: string, nodeOf: (id: string) => Node | undefined): string {
  return nodeOf(nodeId)?.description?.hostname || nodeId;
}
