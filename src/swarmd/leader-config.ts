import type { BackoffOptions } from '#common/backoff.ts';

export interface LeaderCallsConfig {
  /** A call waits this long for a leader: two election timeouts, after which an election has failed for want of a quorum. */
  readonly leaderWaitMs: number;
  /** Between attempts, while the one who should lead refuses: it is told of its lead a round trip after the others. */
  readonly retry: BackoffOptions;
  /** How long a manager that was elected, and has not applied that yet, may keep a call waiting that was passed on to it. */
  readonly catchUpMs: number;
  /** When the lead has moved while a call was under way, its answer gets this long: it may be behind the news. */
  readonly answerGraceMs: number;
  /** A unary call that nobody gave a deadline; as for direct calls. */
  readonly callTimeoutMs: number;
}

export const LEADER_CALLS_DEFAULTS: LeaderCallsConfig = {
  leaderWaitMs: 2_000,
  retry: { baseMs: 10, maxMs: 100, factor: 2, jitter: 0.5 },
  catchUpMs: 1_000,
  answerGraceMs: 1_000,
  callTimeoutMs: 30_000,
};
