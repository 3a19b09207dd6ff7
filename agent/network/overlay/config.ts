export interface OverlayConfig {
  /** How long a device of a task that is gone may stay before reconciliation deletes it. */
  readonly lingerMs: number;
  /** How long a network waits for its number while the kernel still tears down what had it. */
  readonly vniWaitMs: number;
  /** Wait between two attempts of that. */
  readonly vniRetryMs: number;
  /** From the first foreign change that the kernel tells of to the comparison: one for a whole burst. */
  readonly eventDelayMs: number;
}

export const DEFAULT_OVERLAY_CONFIG: OverlayConfig = {
  // A namespace goes within tens of milliseconds; one that is there after this is kept alive by somebody.
  lingerMs: 10_000,
  // On a machine that removes hundreds of namespaces at once the last one was seen to take over a second.
  vniWaitMs: 5_000,
  vniRetryMs: 50,
  // `ip link del` of one device makes a handful of events within a millisecond; people do not notice a tenth of a second.
  eventDelayMs: 100,
};
