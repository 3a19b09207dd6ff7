export interface RotationConfig {
  /** Nodes that are being asked for another certificate at a time. */
  readonly atOnce: number;
  /** A node that does nothing for so long gives its place to another one, and is told of as a problem. */
  readonly patienceMs: number;
  /** Looks are at least so far apart while nodes answer. */
  readonly gatherMs: number;
  /** How often everything is looked at although nothing was heard. */
  readonly lookEveryMs: number;
  /** Between a write that failed and the next. */
  readonly retryBaseMs: number;
  readonly retryMaxMs: number;
}

export const ROTATION_CONFIG: RotationConfig = {
  // Swarm's batch. A node needs half a second to renew and a second until its session has moved, so a thousand take a
  // minute: and managers sign 500 a second.
  atOnce: 30,
  // Longer than a renewal that is tried at every manager takes.
  patienceMs: 20_000,
  gatherMs: 100,
  lookEveryMs: 2_000,
  retryBaseMs: 200,
  retryMaxMs: 5_000,
};
