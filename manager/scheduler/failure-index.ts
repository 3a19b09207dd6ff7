import { type Task, type TaskFailure, TaskState } from '#gen/swarm/v1/objects.ts';

/**
 * Where revisions failed of late. Read from the failures that the wanted task of each slot carries, so that the history
 * may be cleared without forgetting them.
 */
export class FailureIndex {
  /** By group, then node: times of failures. Invariant: no entry is empty. */
  readonly #groups = new Map<string, Map<string, number[]>>();
  readonly #counted = new Map<string, readonly TaskFailure[]>();

  /** Counts the failures that the task carries while it is the one wanted in its slot. */
  setTask(task: Task): void {
    if (task.failures.length === 0 && !this.#counted.has(task.id)) return;
    this.removeTask(task);
    if (task.failures.length === 0 || task.desiredState > TaskState.COMPLETE) return;
    this.#counted.set(task.id, task.failures);
    const key = groupKey(task.serviceId, task.revision);
    let nodes = this.#groups.get(key);
    if (nodes === undefined) {
      nodes = new Map();
      this.#groups.set(key, nodes);
    }
    for (const { nodeId, timeMs } of task.failures) {
      const times = nodes.get(nodeId);
      if (times === undefined) nodes.set(nodeId, [timeMs]);
      else times.push(timeMs);
    }
  }

  removeTask(task: Task): void {
    const failures = this.#counted.get(task.id);
    if (failures === undefined) return;
    this.#counted.delete(task.id);
    const key = groupKey(task.serviceId, task.revision);
    const nodes = this.#groups.get(key);
    if (nodes === undefined) return;
    for (const { nodeId, timeMs } of failures) {
      const times = nodes.get(nodeId) ?? [];
      const index = times.indexOf(timeMs);
      if (index >= 0) times.splice(index, 1);
      if (times.length === 0) nodes.delete(nodeId);
    }
    if (nodes.size === 0) this.#groups.delete(key);
  }

  /** Whether the group has failed anywhere: most have not. */
  has(key: string): boolean {
    return this.#groups.has(key);
  }

  /** Failures of the group on the node after the time. */
  countSince(key: string, nodeId: string, sinceMs: number): number {
    const times = this.#groups.get(key)?.get(nodeId);
    if (times === undefined) return 0;
    let count = 0;
    for (const timeMs of times) if (timeMs > sinceMs) count++;
    return count;
  }
}

/** Name of the tasks of one revision of one service. */
export function groupKey(serviceId: string, revision: number): string {
  return `${serviceId}/${revision}`;
}
