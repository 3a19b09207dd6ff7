/** What the loops ask about a task and its node, in one place. */
import { type Node, NodeState, type Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import type { Change, ChangeGroup } from '#manager/store/index.ts';

export function stateOf(task: Task): TaskState {
  return task.status?.state ?? TaskState.NEW;
}

/** Meant to run, or to be ready to; a task of a job, to run to its end. */
export function isWanted(task: Task): boolean {
  return task.desiredState <= TaskState.COMPLETE;
}

/** Will not run any more, whatever is desired. */
export function hasEnded(task: Task): boolean {
  return stateOf(task) > TaskState.RUNNING;
}

/** New connections may go to it; without checks as soon as it runs. Says nothing of a task that does not run. */
export function isReady(task: Task): boolean {
  return task.status?.health?.ready ?? true;
}

/** Does its work: it runs, and its checks say that it may be used. What updates go by. */
export function isHealthy(task: Task): boolean {
  return stateOf(task) === TaskState.RUNNING && isReady(task);
}

/** Since when the task that runs is healthy, by the node's clock, kept within what the leader's says is possible. */
export function healthySinceMs(task: Task): number {
  const { status } = task;
  const sinceMs = Math.max(status?.timestampMs ?? 0, status?.health?.readySinceMs ?? 0, task.createdAtMs);
  return task.updatedAtMs > 0 ? Math.min(sinceMs, task.updatedAtMs) : sinceMs;
}

/** When it began to work; 0 when it never did: it ended before its process ran, or before its checks let it be used. */
export function workedSinceMs({ status }: Task): number {
  if (status === undefined) return 0;
  if (status.runningAtMs > 0) return status.runningAtMs;
  // Agents of an earlier release do not say, and check nothing.
  return status.health === undefined ? (status.container?.startedAtMs ?? 0) : 0;
}

/** A node has been told of it, so that there may be a container. */
export function isAssigned(task: Task): boolean {
  return task.nodeId !== '' && stateOf(task) >= TaskState.ASSIGNED;
}

/** Cannot be relied upon: removed, down, or taking its leave. Its tasks are replaced; they may or may not run on. */
export function isLost(node: Node | undefined): boolean {
  const state = node?.status?.state;
  return node === undefined || state === NodeState.DOWN || state === NodeState.DISCONNECTED;
}

/** Is to be emptied. */
export function isDrained(node: Node): boolean {
  return node.spec?.availability === NodeAvailability.DRAIN;
}

/** The node was away and came back without the task: a reboot is no failure of it. */
export function endedWithNode(task: Task, node: Node | undefined, withinMs: number): boolean {
  const sinceMs = node?.status?.sinceMs ?? 0;
  return task.createdAtMs < sinceMs && Math.abs(task.updatedAtMs - sinceMs) < withinMs;
}

/** Whether nothing changed that the loops look at. */
export function sameForTasks(a: Node, b: Node): boolean {
  return (
    a.spec === b.spec &&
    a.description === b.description &&
    a.role === b.role &&
    a.status?.state === b.status?.state &&
    a.status?.silentMs === b.status?.silentMs
  );
}

export function withDesired(task: Task, desiredState: TaskState): Task {
  return { ...task, desiredState };
}

export function withStatus(task: Task, fields: Partial<TaskStatus>): Task {
  const before = task.status ?? TaskStatus.create({ state: TaskState.NEW });
  return { ...task, status: { ...before, ...fields } };
}

export function updateTask(task: Task): Change {
  return { kind: 'update', table: 'task', object: task };
}

export function createTask(task: Task): Change {
  return { kind: 'create', table: 'task', object: task };
}

export function removeTask(task: Task): Change {
  return { kind: 'remove', table: 'task', object: task };
}

/**
 * Takes the task out of service. One that no node was told of is simply deleted; it has no history worth keeping.
 * Undefined when nothing is to be done.
 */
export function retire(task: Task): Change | undefined {
  if (!isAssigned(task)) return removeTask(task);
  return isWanted(task) ? updateTask(withDesired(task, TaskState.SHUTDOWN)) : undefined;
}

/** Drops the last lines of a task that has ended; undefined when there are none. */
export function forgetLog(task: Task): Change | undefined {
  return task.status === undefined || task.status.lastLog.length === 0 || !hasEnded(task)
    ? undefined
    : updateTask(withStatus(task, { lastLog: [] }));
}

/** Makes all traces of a slot go: what may run is told to, the rest is deleted. */
export function clearSlot(tasks: readonly Task[], mayStillRun: (task: Task) => boolean): ChangeGroup {
  const changes: Change[] = [];
  for (const task of tasks)
    if (!mayStillRun(task)) changes.push(removeTask(task));
    else if (task.desiredState !== TaskState.REMOVE) changes.push(updateTask(withDesired(task, TaskState.REMOVE)));
  return changes;
}
