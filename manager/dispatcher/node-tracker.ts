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

/** How often a node's agent wants to be heard of, as far as it was told. */
interface ToldPeriod {
  readonly toldMs: number;
  /** Told before that: agents of earlier releases have their next heartbeat still come by it. */
  readonly beforeMs: number;
}

export interface ExpectedNode {
  readonly nodeId: string;
  /** What it has had of the longer grace under leaders before this one. */
  readonly hadMs: number;
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
  /** Invariant: of tracked nodes only. */
  readonly #told = new Map<string, ToldPeriod>();
  #clusterPeriodMs: number;
  /** What the spec asked for before, while there may be nodes that have not been told of the change. */
  #formerPeriod = { periodMs: 0, untilMs: -Infinity };

  constructor(config: DispatcherConfig) {
    this.#config = config;
    this.#clusterPeriodMs = config.heartbeatPeriodMs;
  }

  /** The period that the cluster's spec asks for. */
  setPeriod(wantedMs: number | undefined, nowMs: number): void {
    const periodMs = wantedMs ?? this.#config.heartbeatPeriodMs;
    if (periodMs === this.#clusterPeriodMs) return;
    const formerMs = Math.max(this.#clusterPeriodMs, this.#formerPeriodMs(nowMs));
    // By then every node that is there has been told.
    this.#formerPeriod = { periodMs: formerMs, untilMs: nowMs + formerMs * this.#config.downAfterPeriods };
    this.#clusterPeriodMs = periodMs;
  }

  /** The period that agents are told: grows with their number so that the manager is not drowned in heartbeats. */
  get periodMs(): number {
    return Math.max(this.#clusterPeriodMs, (this.#nodes.size * 1000) / this.#config.heartbeatsPerSecondMax);
  }

  /** How long a node may be silent that beats as all are told to. */
  get graceMs(): number {
    return this.periodMs * this.#config.downAfterPeriods;
  }

  /** A sign of life. How long it may be silent now goes by what it was told: it cannot know of what changed since. */
  heard(nodeId: string, nowMs: number): void {
    const told = this.#told.get(nodeId);
    const periodMs = Math.max(this.periodMs, told?.toldMs ?? 0, told?.beforeMs ?? 0);
    const deadlineMs = nowMs + periodMs * this.#config.downAfterPeriods;
    this.#nodes.set(nodeId, { deadlineMs, heardMs: nowMs, expected: false });
  }

  /** The period that the node is told now, in whole milliseconds; `welcomed`: its first heartbeat is still to come. */
  tell(nodeId: string, welcomed: boolean): number {
    const toldMs = Math.round(this.periodMs);
    const beforeMs = welcomed ? toldMs : (this.#told.get(nodeId)?.toldMs ?? toldMs);
    if (this.#nodes.has(nodeId)) this.#told.set(nodeId, { toldMs, beforeMs });
    return toldMs;
  }

  /**
   * Nodes that an earlier leader knew: they get longer, to find this one. What they have had of that under leaders before
   * this one is taken off, but for the time that any node has: where leaders follow each other quickly, one that is dead
   * is found all the same.
   */
  expect(nodes: readonly ExpectedNode[], nowMs: number): void {
    // The period grows with their number: with that of all, or the first would get less time than the last.
    for (const { nodeId } of nodes) this.#nodes.set(nodeId, { deadlineMs: Infinity, heardMs: nowMs, expected: true });
    const { downAfterPeriods, unknownAfterPeriods, staleLeaderMs } = this.#config;
    const periodMs = this.#longestPeriodMs(nowMs);
    const graceMs = periodMs * downAfterPeriods;
    // A leader that does not know yet that it is none any more may still be answering the node.
    const heardMs = nowMs + Math.max(graceMs, staleLeaderMs);
    for (const { nodeId, hadMs } of nodes) {
      const leftMs = Math.max(graceMs, periodMs * unknownAfterPeriods - hadMs);
      this.#nodes.set(nodeId, { deadlineMs: nowMs + leftMs, heardMs, expected: true });
    }
  }

  /** A node that has taken its leave, that long ago: so long it may be ending its tasks. */
  leaving(nodeId: string, nowMs: number, hadMs = 0): void {
    const leftMs = Math.max(this.graceMs, this.#config.leavingMs - hadMs);
    this.#nodes.set(nodeId, { deadlineMs: nowMs + leftMs, heardMs: nowMs, expected: false });
  }

  clear(): void {
    this.#nodes.clear();
    this.#told.clear();
  }

  forget(nodeId: string): void {
    this.#nodes.delete(nodeId);
    this.#told.delete(nodeId);
  }

  /**
   * Nodes whose time is up; they are forgotten. One that an earlier leader knew gets no more time than any other where
   * it is silent elsewhere, too: a host that died together with the leadership it had is not looking for the new leader.
   */
  expire(nowMs: number, heardElsewhere: HeardElsewhere = () => undefined): readonly ExpiredNode[] {
    const expired: ExpiredNode[] = [];
    const graceMs = this.#longestPeriodMs(nowMs) * this.#config.downAfterPeriods;
    for (const [nodeId, { deadlineMs, heardMs: heardHereMs, expected }] of this.#nodes) {
      const heardMs = expected ? heardElsewhere(nodeId) : undefined;
      if (deadlineMs <= nowMs || (heardMs !== undefined && heardMs + graceMs <= nowMs))
        expired.push({ nodeId, silentMs: Math.max(0, Math.floor(nowMs - heardHereMs)) });
    }
    for (const { nodeId } of expired) this.forget(nodeId);
    return expired;
  }

  /** The manager itself was held up (a stopped process, a long pause): silence during it proves nothing. */
  excuse(heldUpMs: number): void {
    for (const node of this.#nodes.values()) {
      node.deadlineMs += heldUpMs;
      node.heardMs += heldUpMs;
    }
  }

  #formerPeriodMs(nowMs: number): number {
    return nowMs < this.#formerPeriod.untilMs ? this.#formerPeriod.periodMs : 0;
  }

  /** What a node that this leader has not told anything may be going by. */
  #longestPeriodMs(nowMs: number): number {
    return Math.max(this.periodMs, this.#formerPeriodMs(nowMs));
  }
}
