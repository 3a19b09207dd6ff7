import type { BackoffOptions } from '#common/backoff.ts';

export interface SessionConfig {
  /** Between attempts to reach a manager: quick at first, because most losses are restarts or elections of a second. */
  readonly reconnect: BackoffOptions;
  /** So often in a row a manager that names another one as the leader is believed at once. */
  readonly redirectsMax: number;
  /** An opened stream has to be welcomed within this; a manager may wait for the election of a leader meanwhile. */
  readonly welcomeTimeoutMs: number;
  /** A manager whose host has not answered by then at all is left: it does not get the time of one that is busy. */
  readonly reachTimeoutMs: number;
  /** What the time for a welcome grows to, doubled with each manager in a row that does not answer in time. */
  readonly welcomeTimeoutMaxMs: number;
  /**
   * The same for a leader whose session has just broken. One that is there welcomes or refuses at once; on a host that
   * lost its power nobody answers, and who waits there for long hears late from the next leader what was lost with it.
   */
  readonly returnTimeoutMs: number;
  /** Silence of the manager for this many heartbeat periods means that the link is dead. */
  readonly silentPeriods: number;
  /** Statuses in one batch: the largest status is a few KiB, so that a batch stays far below the message limit. */
  readonly statusBatch: number;
  /** How often the node's description is looked at again. */
  readonly describeEveryMs: number;
}

export const SESSION_DEFAULTS: SessionConfig = {
  reconnect: { baseMs: 100, maxMs: 1_000, factor: 2, jitter: 0.5 },
  redirectsMax: 3,
  welcomeTimeoutMs: 5_000,
  // A first packet that is lost is sent again after a second.
  reachTimeoutMs: 1_500,
  // A thousand handshakes take that on a manager whose processors are busy with other things.
  welcomeTimeoutMaxMs: 40_000,
  returnTimeoutMs: 1_000,
  silentPeriods: 4,
  statusBatch: 500,
  describeEveryMs: 20_000,
};
