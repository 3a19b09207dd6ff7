import { LIMITS } from '#common/limits.ts';

/** Tuning values of the write-ahead log and its snapshots. */
export interface LogConfig {
  /** A new segment is begun when a frame would pass this size. */
  readonly segmentBytes: number;
  /** Segments grow by this many zero bytes ahead of what is written. */
  readonly allocateBytes: number;
  /** Waiting records are put into one frame up to this size; one record alone may be larger. */
  readonly frameBytes: number;
  /** The largest proposal. */
  readonly proposalBytes: number;
  /** Proposals and bytes that may wait; beyond, `propose` rejects with `too-many`. */
  readonly waitingProposals: number;
  readonly waitingBytes: number;
  /** A snapshot is taken after this many entries or bytes of entries, whatever comes first. */
  readonly snapshotEntries: number;
  readonly snapshotBytes: number;
  /** Older snapshots that are kept beside the newest. */
  readonly snapshotsKept: number;
  /** A snapshot's data is synced each time this much was written. */
  readonly snapshotSyncBytes: number;
  /** How long to wait before a snapshot is tried again after the disk was full. */
  readonly snapshotRetryMs: number;
  /** Entries are applied for at most this long before the event loop gets its turn. */
  readonly applySliceMs: number;
  /** `close` waits this long for waiting proposals and a running snapshot. */
  readonly closeTimeoutMs: number;
}

export const DEFAULT_LOG_CONFIG: LogConfig = {
  // etcd's: few files, and one deleted at a time frees a noticeable share.
  segmentBytes: 64 * 1024 * 1024,
  // Overwriting allocated blocks saves the file system's journal entry per flush (+20 % flushes a second measured);
  // 1 MiB is 256 small flushes ahead and 1 to 2 ms of writing.
  allocateBytes: 1024 * 1024,
  // Flushing 64 KiB costs hardly more than 4 KiB, 1 MiB about 6 ms; sealing 1 MiB about 1 ms.
  frameBytes: 1024 * 1024,
  // A transaction of full size, with room for a handful of events of each change; what is left of a message is for what the
  // log's user wraps around it.
  proposalBytes: LIMITS.TRANSACTION_BYTES + 3 * 1024 * 1024,
  // Some seconds of work for a slow disk; more would only hide that it cannot keep up.
  waitingProposals: 10_000,
  waitingBytes: 64 * 1024 * 1024,
  // Swarm's and etcd's interval. Replaying that many takes well under a second.
  snapshotEntries: 10_000,
  // Large entries: bounds replay and disk by bytes as well.
  snapshotBytes: 64 * 1024 * 1024,
  snapshotsKept: 0,
  // Small enough that the log's own flushes do not queue behind a long one.
  snapshotSyncBytes: 4 * 1024 * 1024,
  snapshotRetryMs: 10_000,
  // Half of what no part may exceed (10 ms), because one entry can take a while too.
  applySliceMs: 5,
  closeTimeoutMs: 10_000,
};
