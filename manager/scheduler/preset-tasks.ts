import type { Task } from '#gen/swarm/v1/objects.ts';

/** Pending tasks that come with their node, and the nodes on which they are to be checked (again). */
export class PresetTasks {
  /** By node. Invariant: no entry is empty. */
  readonly #nodes = new Map<string, Map<string, Task>>();
  /** Invariant: every node in it has an entry. */
  readonly #unchecked = new Set<string>();

  clear(): void {
    this.#nodes.clear();
    this.#unchecked.clear();
  }

  add(task: Task): void {
    const tasks = this.#nodes.get(task.nodeId);
    if (tasks === undefined) this.#nodes.set(task.nodeId, new Map([[task.id, task]]));
    else tasks.set(task.id, task);
    this.#unchecked.add(task.nodeId);
  }

  remove(task: Task): void {
    const tasks = this.#nodes.get(task.nodeId);
    if (tasks === undefined || !tasks.delete(task.id) || tasks.size > 0) return;
    this.#nodes.delete(task.nodeId);
    this.#unchecked.delete(task.nodeId);
  }

  /** Something about the node has changed. */
  recheck(nodeId: string): void {
    if (this.#nodes.has(nodeId)) this.#unchecked.add(nodeId);
  }

  /** All its tasks were checked, and the outcome is in the store. */
  checked(nodeId: string): void {
    this.#unchecked.delete(nodeId);
  }

  unchecked(): readonly string[] {
    return [...this.#unchecked];
  }

  /** In an order that is the same for everyone: they may compete for what is left. */
  onNode(nodeId: string): readonly Task[] {
    return [...(this.#nodes.get(nodeId)?.values() ?? [])].sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}
