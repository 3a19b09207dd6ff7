import type { BackoffOptions } from '#common/backoff.ts';
import { DEFAULT_LOG_CONFIG, type LogConfig } from '#manager/log/index.ts';

/** Tuning values of the log that several managers hold. */
export interface RaftTuning {
  readonly tickMs: number;
  /** Ticks between heartbeats. */
  readonly heartbeatTicks: number;
  /** Ticks without a word from the leader before an election; drawn from one to two times this for each. */
  readonly electionTicks: number;
  /** Bytes of entries in one message to a follower; one larger entry still goes. */
  readonly messageBytes: number;
  /** Messages and bytes under way to one follower before it has answered. */
  readonly inflightMessages: number;
  readonly inflightBytes: number;
  /** Bytes of proposals that are not committed yet; beyond, they are refused with `too-many`. */
  readonly uncommittedBytes: number;
  /** Bytes of committed entries that are handed out to be applied at once. */
  readonly applyingBytes: number;
  /** Entries before the newest snapshot that are kept for slow followers, as many as fit the bytes. */
  readonly entriesKept: number;
  readonly entriesKeptBytes: number;
  /**
   * Bytes of entries that are kept beyond these for members that a snapshot is sent to, until they have caught up; one
   * that would need more gets another snapshot. Once it has the snapshot, a member has so long to catch up.
   */
  readonly entriesHeldBytes: number;
  readonly catchUpHoldMs: number;
  /** Between attempts to send a member a snapshot. */
  readonly snapshotResend: BackoffOptions;
  /** A learner that lacks no more entries than this becomes a voter. */
  readonly learnerLagEntries: number;
  /** It has been like that, and reachable, for so long before. */
  readonly learnerStableMs: number;
  /** When a leader's process is gone, a follower stands for election after a random delay up to this. */
  readonly campaignDelayMs: number;
  /** Reads that may wait; beyond, they are refused with `too-many`. */
  readonly waitingReads: number;
  /** A leader that is closed gives this much to the follower that takes over. */
  readonly handoverMs: number;
  /** How long one attempt of the log's own changes of members (promotion, new address) may take. */
  readonly changeTimeoutMs: number;
  /** A peer that says this member was removed, and still does after this long, belongs to another swarm of the same nodes. */
  readonly disputeMs: number;
}

export type RaftConfig = LogConfig & RaftTuning;

const DEFAULT_TUNING: RaftTuning = {
  // etcd's values for one data centre: a heartbeat well above the round trip, an election ten heartbeats later.
  tickMs: 100,
  heartbeatTicks: 1,
  electionTicks: 10,
  // A few milliseconds of a 1 Gbit/s link, and some hundreds of small entries.
  messageBytes: 256 * 1024,
  // etcd's window; the bytes keep a follower on a slow link from piling up memory.
  inflightMessages: 256,
  inflightBytes: 32 * 1024 * 1024,
  // What may wait for the disk may also wait for the followers.
  uncommittedBytes: 64 * 1024 * 1024,
  // Enough that applying never waits for the next batch, little enough that a slow machine is not handed everything.
  applyingBytes: 4 * 1024 * 1024,
  // Swarm's number: a follower that was away for seconds needs no snapshot.
  entriesKept: 500,
  entriesKeptBytes: 16 * 1024 * 1024,
  // Hundreds of writes a second for as long as 50 MB take on a narrow link, which is half a minute.
  entriesHeldBytes: 64 * 1024 * 1024,
  // What is held goes over the same link in less; a member that is stuck must not cost memory for long.
  catchUpHoldMs: 60_000,
  // A second is nothing beside a transfer, and what is in its way often goes by then (a restart); each attempt may send
  // all of the state.
  snapshotResend: { baseMs: 1_000, maxMs: 10_000, factor: 2, jitter: 0.5 },
  // Less than a second of writing for a busy cluster.
  learnerLagEntries: 1000,
  // A log by itself has no reason to wait; the cluster's spec says how long its managers do.
  learnerStableMs: 0,
  // Two followers rarely draw the same tenth of it, and a vote takes milliseconds.
  campaignDelayMs: 100,
  waitingReads: 10_000,
  // Ten times what a transfer takes when the follower is close behind.
  handoverMs: 1000,
  changeTimeoutMs: 5000,
  // Peers that refuse this member are asked again every 30 s; in one swarm the news of a removal takes a moment.
  disputeMs: 20_000,
};

export const DEFAULT_RAFT_CONFIG: RaftConfig = { ...DEFAULT_LOG_CONFIG, ...DEFAULT_TUNING };

/** The shortest time without a leader that starts an election. */
export function electionTimeoutMs(config: RaftTuning): number {
  return config.electionTicks * config.tickMs;
}
