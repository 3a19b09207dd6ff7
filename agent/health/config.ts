export interface HealthConfig {
  /** Between two checks of one probe, whatever its spec says: each is a process, or a connection. */
  readonly checkGapMs: number;
  /** What is kept of the output, or the answer, of a check. */
  readonly outputBytesMax: number;
  /** What a status carries of it: it is kept by every manager. */
  readonly messageBytesMax: number;
}

export const DEFAULT_HEALTH_CONFIG: HealthConfig = {
  checkGapMs: 100,
  // Docker's figure.
  outputBytesMax: 4096,
  messageBytesMax: 1024,
};
