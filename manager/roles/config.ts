export interface RolesConfig {
  /** How long one change of the log's members, or one transfer, may take. */
  readonly stepTimeoutMs: number;
  /** How often everything is looked at although nothing was heard: members become reachable without a commit. */
  readonly lookEveryMs: number;
  /** Between a step that failed and the next. */
  readonly retryBaseMs: number;
  readonly retryMaxMs: number;
  /** Steps that are taken before the event loop is given back for a while. */
  readonly stepsAtOnce: number;
}

export const ROLES_CONFIG: RolesConfig = {
  // Twice the longest election: a change that takes longer met a change of leader, and is looked at anew.
  stepTimeoutMs: 5_000,
  // Swarm's.
  lookEveryMs: 5_000,
  retryBaseMs: 200,
  retryMaxMs: 5_000,
  // Of five managers at most four leave; more steps than that in one go are a sign that they have no effect.
  stepsAtOnce: 16,
};
