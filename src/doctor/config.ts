const GIB = 1024 ** 3;

/** Thresholds of the checks. */
export const DOCTOR_CONFIG = {
  /** One check; a probe takes milliseconds, a firewall that drops packets takes all of it. */
  checkTimeoutMs: 8_000,
  /** A connection to a manager. */
  connectTimeoutMs: 3_000,
  /** Checks at once: most wait for small programs. */
  concurrency: 4,

  /** Logs and heartbeats of hosts 2 s apart are hard to read together. */
  clockWarnMs: 2_000,
  /** Certificates begin to hold an hour before they are issued: beyond half of that they soon will not. */
  clockFailMs: 30 * 60_000,
  /** No host of ours was made before. */
  clockEarliestMs: Date.UTC(2024, 0, 1),

  /** openat2 (how paths in images are resolved safely) and maps of nftables with expressions as keys. */
  kernelMinimum: '5.6',

  /** One container needs about a dozen. */
  openFilesWarn: 65_536,
  openFilesFail: 4_096,
  inotifyInstancesWarn: 128,
  inotifyWatchesWarn: 8_192,

  /** Every connection through a published port takes up to three entries. */
  conntrackWarn: 65_536,
  conntrackFullShare: 0.8,

  diskWarnBytes: 5 * GIB,
  diskFailBytes: GIB / 4,
} as const;
