/**
 * Who is alive. Keeps the time of every node's last sign of life and says who has been silent for too long. A closed
 * connection alone is not death: links break and agents restart.
 */
import type { DispatcherConfig } from './config.ts';

interface TrackedNode {
  deadlineMs: number;
  /** Of what was later nothing was heard. */
  heardMs: number;
  /** It has not shown itself to this leader yet. */
  readonly expected: boolean;
}

export interface ExpiredNode {
  readonly nodeId: string;
  /** For so long nothing was surely heard of it. */
  readonly silentMs: number;
}

/** When a node was last heard of in another way than by its session, on the same clock; undefined: there is none. */
export type HeardElsewhere = (nodeId: string) => number | undefined;

export class NodeTracker {
  readonly #config: DispatcherConfig;
  readonly #nodes = new Map<string, TrackedNode>();
  #clusterPeriodMs: number;

  constructor(config: DispatcherConfig) {
    this.#config = config;
    this.#clusterPeriodMs = config.heartbeatPeriodMs;
  }

  /** The period that the cluster's spec asks for. */
  setPeriod(periodMs: number | undefined): void {
    this.#clusterPeriodMs = periodMs ?? this.#config.heartbeatPeriodMs;
  }

  /** The period that agents are told: grows with their number so that the manager is not drowned in heartbeats. */
  get periodMs(): number {
    return Math.max(this.#clusterPeriodMs, (this.#nodes.size * 1000) / this.#config.heartbeatsPerSecondMax);
  }

  /** How long a node may be silent. */
  get graceMs(): number {
    return this.periodMs * this.#config.downAfterPeriods;
  }

  /** A sign of life. */
  heard(nodeId: string, nowMs: number): void {
    this.#nodes.set(nodeId, { deadlineMs: nowMs + this.graceMs, heardMs: nowMs, expected: false });
  }

  /**
   * A node that an earlier leader knew: it gets longer, to find this one. What it has had of that under leaders before
   * this one is taken off, but for the time that any node has: where leaders follow each other quickly, one that is dead
   * is found all the same.
   */
  expect(nodeId: string, nowMs: number, hadMs = 0): void {
    const leftMs = Math.max(this.graceMs, this.periodMs * this.#config.unknownAfterPeriods - hadMs);
    // A leader that does not know yet that it is none any more may still be answering the node.
    this.#nodes.set(nodeId, { deadlineMs: nowMs + leftMs, heardMs: nowMs + this.graceMs, expected: true });
  }

  /** A node that has taken its leave, that long ago: so long it may be ending its tasks. */
  leaving(nodeId: string, nowMs: number, hadMs = 0): void {
    const leftMs = Math.max(this.graceMs, this.#config.leavingMs - hadMs);
    this.#nodes.set(nodeId, { deadlineMs: nowMs + leftMs, heardMs: nowMs, expected: false });
  }

  clear(): void {
    this.#nodes.clear();
  }

  forget(nodeId: string): void {
    this.#nodes.delete(nodeId);
  }

  /**
   * Nodes whose time is up; they are forgotten. One that an earlier leader knew gets no more time than any other where
   * it is silent elsewhere, too: a host that died together with the leadership it had is not looking for the new leader.
   */
  expire(nowMs: number, heardElsewhere: HeardElsewhere = () => undefined): readonly ExpiredNode[] {
    const expired: ExpiredNode[] = [];
    for (const [nodeId, { deadlineMs, heardMs: heardHereMs, expected }] of this.#nodes) {
      const heardMs = expected ? heardElsewhere(nodeId) : undefined;
      if (deadlineMs <= nowMs || (heardMs !== undefined && heardMs + this.graceMs <= nowMs))
        expired.push({ nodeId, silentMs: Math.max(0, Math.floor(nowMs - heardHereMs)) });
    }
    for (const { nodeId } of expired) this.#nodes.delete(nodeId);
    return expired;
  }

  /** The manager itself was held up (a stopped process, a long pause): silence during it proves nothing. */
  excuse(heldUpMs: number): void {
    for (const node of this.#nodes.values()) {
      node.deadlineMs += heldUpMs;
      node.heardMs += heldUpMs;
    }
  }
}
