/**
 * After a change of leader the nodes come back one by one, within a second or so. What waits for a place is not to go all
 * to the first of them: for a moment the scheduler lets them gather.
 */
import { type Node, NodeState } from '#gen/swarm/v1/objects.ts';

export class Gathering {
  readonly #ready = new Set<string>();
  /** Since when nodes have not been heard of by the leader, by id. Of a swarm at rest: empty. */
  readonly #awaited = new Map<string, number>();

  clear(): void {
    this.#ready.clear();
    this.#awaited.clear();
  }

  setNode({ id, status }: Node): void {
    if (status?.state === NodeState.READY) this.#ready.add(id);
    else this.#ready.delete(id);
    if (status?.state === NodeState.UNKNOWN) this.#awaited.set(id, status.sinceMs);
    else this.#awaited.delete(id);
  }

  removeNode(id: string): void {
    this.#ready.delete(id);
    this.#awaited.delete(id);
  }

  /**
   * When to ask again; undefined when it is time to place. That is when half of the nodes are back that may still come, or
   * when they have had their time. A time in the future is of another clock, and is not waited for.
   */
  waitUntilMs(nowMs: number, gatherMs: number): number | undefined {
    let awaited = 0;
    let untilMs = Infinity;
    for (const sinceMs of this.#awaited.values()) {
      if (sinceMs > nowMs || sinceMs + gatherMs <= nowMs) continue;
      awaited++;
      untilMs = Math.min(untilMs, sinceMs + gatherMs);
    }
    return awaited > this.#ready.size ? untilMs : undefined;
  }
}
