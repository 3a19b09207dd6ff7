/** Times about nodes that come and go, where the cluster's spec says nothing. */
export interface CleanupConfig {
  /** A manager that cannot be reached for so long counts as dead. */
  readonly deadManagerAfterMs: number;
  /** The managers that stay have been there for so long before another one is cleaned up. */
  readonly cleanupStableMs: number;
  /** A new manager has been there for so long before it has a vote. */
  readonly voterStableMs: number;
  /** A leader looks at a node that is down for at least so long, or a jump of its clock would remove it. */
  readonly pruneSeenMs: number;
  /** How often everything is looked at. */
  readonly lookEveryMs: number;
  /** Between a step that failed and the next. */
  readonly retryBaseMs: number;
  readonly retryMaxMs: number;
}

export const CLEANUP_CONFIG: CleanupConfig = {
  // A machine that is being rebooted or mended is back in less; nobody waits for one that is gone.
  deadManagerAfterMs: 10 * 60_000,
  // Consul's for its autopilot: two failures that belong together are seen as two by then.
  cleanupStableMs: 10_000,
  // Five heartbeats without a miss: a machine that comes and goes has no vote, and who promotes a node does not notice.
  voterStableMs: 500,
  // Longer than any leader needs to hear of a node that is alive.
  pruneSeenMs: 60_000,
  // Times that users set are minutes and more.
  lookEveryMs: 1_000,
  retryBaseMs: 500,
  retryMaxMs: 10_000,
};
