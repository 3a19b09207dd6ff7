export interface ExternalConfig {
  /** For one certificate, over all the addresses that are tried. */
  readonly totalTimeoutMs: number;
  /** For one address, as long as there is another one. */
  readonly attemptTimeoutMs: number;
  /** Longest answer that is read. */
  readonly answerMaxBytes: number;
  /** How long an address is left alone after a failure, while there are others; at once when all have failed. */
  readonly restBaseMs: number;
  readonly restMaxMs: number;
  /** A certificate may end this much later than it was asked to: authorities round. */
  readonly endToleranceMs: number;
}

export const EXTERNAL_CONFIG: ExternalConfig = {
  // Below the 5 s after which a node gives up its request, so that it hears what was wrong.
  totalTimeoutMs: 4_000,
  attemptTimeoutMs: 2_000,
  // Certificate, chain and messages of a CFSSL server are under 10 KiB.
  answerMaxBytes: 64 * 1024,
  restBaseMs: 500,
  restMaxMs: 15_000,
  endToleranceMs: 60_000,
};
