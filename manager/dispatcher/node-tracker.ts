/**
 * Who is alive. Keeps the time of every node's last sign of life and says who has been silent for too long. A closed
 * connection alone is not death: links break and agents restart.
 */
import type { DispatcherConfig } from './config.ts';

interface TrackedNode {
  deadlineMs: number;
  /** It has not shown itself to this leader yet. */
  readonly expected: boolean;
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
    this.#nodes.set(nodeId, { deadlineMs: nowMs + this.graceMs, expected: false });
  }

  /** A node that an earlier leader knew: it gets longer, to find this one. */
  expect(nodeId: string, nowMs: number): void {
    this.#nodes.set(nodeId, { deadlineMs: nowMs + this.periodMs * this.#config.unknownAfterPeriods, expected: true });
  }

  /** A node that has taken its leave: so long it may be ending its tasks. */
  leaving(nodeId: string, nowMs: number): void {
    this.#nodes.set(nodeId, { deadlineMs: nowMs + this.#config.leavingMs, expected: false });
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
  expire(nowMs: number, heardElsewhere: HeardElsewhere = () => undefined): readonly string[] {
    const expired: string[] = [];
    for (const [nodeId, { deadlineMs, expected }] of this.#nodes) {
      const heardMs = expected ? heardElsewhere(nodeId) : undefined;
      if (deadlineMs <= nowMs || (heardMs !== undefined && heardMs + this.graceMs <= nowMs)) expired.push(nodeId);
    }
    for (const nodeId of expired) this.#nodes.delete(nodeId);
    return expired;
  }

  /** The manager itself was held up (a stopped process, a long pause): silence during it proves nothing. */
  excuse(heldUpMs: number): void {
    for (const node of this.#nodes.values()) node.deadlineMs += heldUpMs;
  }
}
