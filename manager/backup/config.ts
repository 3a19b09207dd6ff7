/** Tuning values of snapshots that are saved for users. */
export interface BackupConfig {
  /** Encoding, sealing and reading give way to the event loop after this long. */
  readonly sliceMs: number;
  /** A file's data is synced each time this much was written. */
  readonly syncBytes: number;
  /** How long to wait for a state that everything acknowledged is in. */
  readonly barrierTimeoutMs: number;
  /** After a scheduled save has failed: how long until it is tried again, or the interval where that is shorter. */
  readonly retryMs: number;
  /** A scheduled save leaves at least this much of the disk free. */
  readonly reserveBytes: number;
  /** How long to wait before the cluster's missing key is made, and made again after a failure. */
  readonly keyRetryMs: number;
}

export const DEFAULT_BACKUP_CONFIG: BackupConfig = {
  // Half of what no part may exceed.
  sliceMs: 5,
  // As for the log's own snapshots: small enough that the log's flushes do not queue behind a long one.
  syncBytes: 4 * 1024 * 1024,
  // Longer than an election: a save may begin in the middle of one.
  barrierTimeoutMs: 10_000,
  // A full disk is rarely emptied within seconds; minutes without a save are few beside an interval of hours.
  retryMs: 60_000,
  // Two segments of the log and a snapshot of a large state: the log must never run out of room for a save.
  reserveBytes: 256 * 1024 * 1024,
  keyRetryMs: 1000,
};
