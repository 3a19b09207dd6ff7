import type { BackoffOptions } from '#common/backoff.ts';

/** Tuning of the runner; nothing here is met by users. */
export interface RunnerConfig {
  /** Restoring and catching up give way to the event loop after this long. */
  readonly sliceMs: number;
  /** Events that may wait for one loop; beyond, it starts over from the present state. */
  readonly queueEventsMax: number;
  /** Loops that gain from waiting a little for more events, by name. The others start at once. */
  readonly debounceMs: Readonly<Record<string, number>>;
  /** After an error. */
  readonly retry: BackoffOptions;
  /** After changes were refused by a conflict, from the second time in a row. */
  readonly conflictRetry: BackoffOptions;
  /** A loop that sleeps looks at the wall clock this often: it may have jumped. */
  readonly sleepMaxMs: number;
  /** How long `stop` waits for changes that are on their way. */
  readonly stopTimeoutMs: number;
}

export const DEFAULT_RUNNER_CONFIG: RunnerConfig = {
  // Half of what no part may exceed.
  sliceMs: 5,
  // Hundreds of full transactions; restoring is cheaper from about there.
  queueEventsMax: 100_000,
  debounceMs: {
    // Swarm's figure: nobody waits for history to go, and slots come in bunches.
    'task-reaper': 250,
    // A description that changes in several fields is judged once.
    'constraint-enforcer': 10,
  },
  retry: { baseMs: 100, maxMs: 30_000, factor: 2, jitter: 0.5 },
  conflictRetry: { baseMs: 2, maxMs: 1000, factor: 2, jitter: 0.5 },
  sleepMaxMs: 30_000,
  stopTimeoutMs: 5000,
};
