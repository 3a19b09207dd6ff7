import type { Task } from '#gen/swarm/v1/objects.ts';

/**
 * Pending tasks that can go to one node only, and the nodes on which they are to be checked (again): those of global
 * services, and those whose data is on a node.
 */
export class PresetTasks {
  /** By node. Invariant: no entry is empty. */
  readonly #nodes = new Map<string, Map<string, Task>>();
  /** Invariant: every node in it has an entry. */
  readonly #unchecked = new Set<string>();
  /** Node by task. Invariant: has the tasks of all nodes. */
  readonly #places = new Map<string, string>();

  clear(): void {
    this.#nodes.clear();
    this.#unchecked.clear();
    this.#places.clear();
  }

  add(task: Task, nodeId: string): void {
    this.remove(task);
    const tasks = this.#nodes.get(nodeId);
    if (tasks === undefined) this.#nodes.set(nodeId, new Map([[task.id, task]]));
    else tasks.set(task.id, task);
    this.#places.set(task.id, nodeId);
    this.#unchecked.add(nodeId);
  }

  remove({ id }: Task): void {
    const nodeId = this.#places.get(id);
    if (nodeId === undefined) return;
    this.#places.delete(id);
    const tasks = this.#nodes.get(nodeId);
    if (tasks === undefined || !tasks.delete(id) || tasks.size > 0) return;
    this.#nodes.delete(nodeId);
    this.#unchecked.delete(nodeId);
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
