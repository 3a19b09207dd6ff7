/**
 * Tasks that are to stop, and that their agents have not been told of yet: no node may send them new connections first.
 * Each waits until all nodes that have its networks have confirmed the tables without it, or until its deadline. Pure.
 */

export interface Withdrawal {
  readonly taskId: string;
  /** Where the task runs. */
  readonly nodeId: string;
}

interface Waiting extends Withdrawal {
  /** Commit whose tables do not have the task any more. */
  readonly version: number;
  readonly deadlineMs: number;
  /** Invariant: not empty while the withdrawal is here. */
  readonly nodes: Set<string>;
}

export interface Expired {
  readonly withdrawal: Withdrawal;
  /** Nodes that have not confirmed. */
  readonly nodes: readonly string[];
}

export class Withdrawals {
  readonly #waiting = new Map<string, Waiting>();
  /** Task ids by the node that is waited for. Invariant: mirrors `nodes` of all that wait; no set is empty. */
  readonly #byNode = new Map<string, Set<string>>();

  get size(): number {
    return this.#waiting.size;
  }

  /** Says whether there is anybody to wait for. A task that waits already goes on waiting for what it waits for. */
  hold(withdrawal: Withdrawal, version: number, nodes: Iterable<string>, deadlineMs: number): boolean {
    const { taskId } = withdrawal;
    if (this.#waiting.has(taskId)) return true;
    const waitedFor = new Set(nodes);
    if (waitedFor.size === 0) return false;
    this.#waiting.set(taskId, { ...withdrawal, version, deadlineMs, nodes: waitedFor });
    for (const nodeId of waitedFor) {
      let tasks = this.#byNode.get(nodeId);
      if (tasks === undefined) {
        tasks = new Set();
        this.#byNode.set(nodeId, tasks);
      }
      tasks.add(taskId);
    }
    return true;
  }

  isHeld(taskId: string): boolean {
    return this.#waiting.has(taskId);
  }

  /** A node has applied the tables of a commit. Returns what waits no longer. */
  confirmed(nodeId: string, version: number): readonly Withdrawal[] {
    return this.#settle(nodeId, (waiting) => waiting.version <= version);
  }

  /** A node is down or was removed: whatever it does, nobody waits for it. */
  gone(nodeId: string): readonly Withdrawal[] {
    return this.#settle(nodeId, () => true);
  }

  /** The task is not there any more. */
  forget(taskId: string): void {
    const waiting = this.#waiting.get(taskId);
    if (waiting !== undefined) this.#remove(waiting);
  }

  clear(): void {
    this.#waiting.clear();
    this.#byNode.clear();
  }

  /** The earliest deadline; undefined when nothing waits. Deadlines grow with the time of the hold, so it is the first. */
  get nextDeadlineMs(): number | undefined {
    const [first] = this.#waiting.values();
    return first?.deadlineMs;
  }

  /** What has waited for long enough. */
  expire(nowMs: number): readonly Expired[] {
    const expired: Expired[] = [];
    for (const waiting of this.#waiting.values()) {
      if (waiting.deadlineMs > nowMs) continue;
      expired.push({ withdrawal: waiting, nodes: [...waiting.nodes] });
      this.#remove(waiting);
    }
    return expired;
  }

  #settle(nodeId: string, settles: (waiting: Waiting) => boolean): readonly Withdrawal[] {
    const released: Withdrawal[] = [];
    for (const taskId of this.#byNode.get(nodeId) ?? []) {
      const waiting = this.#waiting.get(taskId);
      if (waiting === undefined || !settles(waiting)) continue;
      waiting.nodes.delete(nodeId);
      this.#unlink(nodeId, taskId);
      if (waiting.nodes.size > 0) continue;
      this.#waiting.delete(taskId);
      released.push(waiting);
    }
    return released;
  }

  #remove(waiting: Waiting): void {
    this.#waiting.delete(waiting.taskId);
    for (const nodeId of waiting.nodes) this.#unlink(nodeId, waiting.taskId);
  }

  #unlink(nodeId: string, taskId: string): void {
    const tasks = this.#byNode.get(nodeId);
    tasks?.delete(taskId);
    if (tasks?.size === 0) this.#byNode.delete(nodeId);
  }
}
