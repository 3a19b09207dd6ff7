/**
 * New tasks on their way to a node. A service gets no more of them while many are: what is made faster than it is placed
 * only waits, and everybody else's tasks behind it.
 */
import { type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { isWanted } from './task-facts.ts';

export class UnplacedTasks {
  /** Id to time of creation. Those that wait with a reason are not on their way. */
  readonly #createdAtMs = new Map<string, number>();

  clear(): void {
    this.#createdAtMs.clear();
  }

  set(task: Task): void {
    const state = task.status?.state ?? TaskState.NEW;
    const isOnItsWay = state < TaskState.ASSIGNED && task.nodeId === '' && (task.status?.error ?? '') === '';
    if (isOnItsWay && isWanted(task)) this.#createdAtMs.set(task.id, task.createdAtMs);
    else this.#createdAtMs.delete(task.id);
  }

  remove(id: string): void {
    this.#createdAtMs.delete(id);
  }

  /** Those made within the time, and when the first of them is older than that. */
  within(timeMs: number, nowMs: number): { readonly count: number; readonly untilMs: number | undefined } {
    let count = 0;
    let untilMs: number | undefined;
    for (const [id, createdAtMs] of this.#createdAtMs) {
      if (createdAtMs + timeMs <= nowMs) this.#createdAtMs.delete(id);
      // A clock that was put back holds nobody up.
      if (createdAtMs + timeMs <= nowMs || createdAtMs > nowMs) continue;
      count++;
      untilMs = Math.min(untilMs ?? Number.POSITIVE_INFINITY, createdAtMs + timeMs);
    }
    return { count, untilMs };
  }
}
