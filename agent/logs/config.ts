/** Tuning of container logs. */
export interface LogConfig {
  /** Read at a time: large enough for throughput, parsed in about a millisecond. */
  readonly chunkBytes: number;
  /** A line that grows beyond this is handed out in pieces: readers must not need memory for a program's whole output. */
  readonly lineBytesMax: number;
  /** Followers look at least this often, should the kernel have dropped an event. */
  readonly followPollMs: number;
  /** Sizes are looked at between these two, the sooner the faster a log grows. */
  readonly checkMinMs: number;
  readonly checkMaxMs: number;
  /** For the monitor to open its new file after a rotation. */
  readonly reopenTimeoutMs: number;
}

export const DEFAULT_LOG_CONFIG: LogConfig = {
  chunkBytes: 64 * 1024,
  lineBytesMax: 256 * 1024,
  followPollMs: 1000,
  checkMinMs: 200,
  checkMaxMs: 5000,
  reopenTimeoutMs: 1000,
};
