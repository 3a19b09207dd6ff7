/** The tasks of one slot in the order in which they followed each other, and what a slot's next task looks like. */
import {
  type Service,
  Task,
  type TaskFailure,
  type TaskRollout,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import { isWanted } from './task-facts.ts';

/**
 * Oldest first. Each task names the one it came after, so the order holds though the clocks of leaders differ, or are put
 * back: a task counts as no older than the one it came after. Times only decide among tasks that know nothing of each
 * other.
 */
export function byAge(tasks: readonly Task[]): readonly Task[] {
  if (tasks.length < 2) return tasks;
  const places = new Map<string, Place>();
  for (const task of tasks) places.set(task.id, { task, sinceMs: task.createdAtMs, depth: 0, isSettled: false });
  for (const place of places.values()) settle(place, places);
  return [...places.values()].sort(comparePlaces).map(({ task }) => task);
}

interface Place {
  readonly task: Task;
  /** The latest creation among the task and those before it. */
  sinceMs: number;
  /** How many came before it. */
  depth: number;
  isSettled: boolean;
}

function settle(place: Place, places: ReadonlyMap<string, Place>): void {
  const chain: Place[] = [];
  let last: Place | undefined = place;
  // What is marked before it is computed ends a circle, which only a damaged store could hold.
  while (last !== undefined && !last.isSettled) {
    last.isSettled = true;
    chain.push(last);
    last = places.get(last.task.replaces);
  }
  for (const next of chain.reverse()) {
    const before = places.get(next.task.replaces);
    if (before === undefined) continue;
    next.sinceMs = Math.max(next.sinceMs, before.sinceMs);
    next.depth = before.depth + 1;
  }
}

function comparePlaces(a: Place, b: Place): number {
  const times = a.sinceMs - b.sinceMs || a.depth - b.depth || a.task.createdAtMs - b.task.createdAtMs;
  return times !== 0 ? times : a.task.id < b.task.id ? -1 : 1;
}

/** What a task hands on to the one that takes its place at the same revision. */
export interface Account {
  readonly restartAttempt: number;
  readonly failures: readonly TaskFailure[];
  readonly quickFailures: number;
}

export const FRESH_ACCOUNT: Account = { restartAttempt: 0, failures: [], quickFailures: 0 };

export function accountOf(task: Task): Account {
  return { restartAttempt: task.restartAttempt, failures: task.failures, quickFailures: task.quickFailures };
}

export interface NextTask {
  readonly id: string;
  readonly service: Service;
  readonly revision: number;
  /** Replicated: its number; global: 0. */
  readonly slot: number;
  /** Global: the node; replicated: empty. */
  readonly nodeId: string;
  readonly account: Account;
  readonly rollout: TaskRollout | undefined;
  /** The newest task of the slot so far. */
  readonly after: Task | undefined;
  /** Empty: it may run at once. */
  readonly holdReason: string;
  readonly startNotBeforeMs: number;
}

export function makeTask(next: NextTask, nowMs: number): Task {
  const held = next.holdReason !== '' || next.startNotBeforeMs > nowMs;
  return Task.create({
    id: next.id,
    serviceId: next.service.id,
    revision: next.revision,
    slot: next.slot,
    nodeId: next.nodeId,
    desiredState: held ? TaskState.READY : TaskState.RUNNING,
    status: TaskStatus.create({ state: TaskState.NEW, timestampMs: nowMs, message: 'created' }),
    startNotBeforeMs: next.startNotBeforeMs,
    // A task that was deleted at once leaves no gap in the chain.
    replaces: next.after?.id ?? '',
    restartAttempt: next.account.restartAttempt,
    failures: next.account.failures,
    quickFailures: next.account.quickFailures,
    rollout: next.rollout,
    holdReason: next.holdReason,
  });
}

/** The newest that is not on its way out of the store. */
export function newestKept(sorted: readonly Task[]): Task | undefined {
  for (let place = sorted.length - 1; place >= 0; place--) {
    const task = sorted[place];
    if (task !== undefined && task.desiredState !== TaskState.REMOVE) return task;
  }
  return undefined;
}

export function newestWanted(sorted: readonly Task[]): Task | undefined {
  for (let place = sorted.length - 1; place >= 0; place--) {
    const task = sorted[place];
    if (task !== undefined && isWanted(task)) return task;
  }
  return undefined;
}
