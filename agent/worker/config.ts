import { DEFAULT_HEALTH_CONFIG, type HealthConfig } from '#agent/health/index.ts';
import type { BackoffOptions } from '#common/backoff.ts';

export interface WorkerConfig {
  /** A shutdown or removal that failed is tried again for ever: what it holds is real. */
  readonly retry: BackoffOptions;
  /** A prepare that takes longer than this has hung: pulls of large images over slow links stay below it. */
  readonly prepareTimeoutMs: number;
  /** create has happened already; starting is opening a FIFO. */
  readonly startTimeoutMs: number;
  readonly health: HealthConfig;
  /** How often it is looked at whether a task may go on without managers. */
  readonly guardLookMs: number;
  /** When a manager was heard of last is written down this often at most. */
  readonly signKeptEveryMs: number;
  /** Last lines of a task that failed, for its status: enough to see why, little enough for every manager to keep. */
  readonly lastLinesMax: number;
  readonly lastLinesBytesMax: number;
  /** When a daemon starts, those of so many tasks are read together. */
  readonly explainedAtATime: number;
  /** They are read before the end is reported. */
  readonly lastLinesTimeoutMs: number;
}

export const WORKER_DEFAULTS: WorkerConfig = {
  retry: { baseMs: 500, maxMs: 60_000, factor: 2, jitter: 0.5 },
  prepareTimeoutMs: 60 * 60_000,
  startTimeoutMs: 60_000,
  health: DEFAULT_HEALTH_CONFIG,
  // So late at most a task is told to stop; replacements wait for 15 s more.
  guardLookMs: 500,
  // One small write a second at most, on nodes that have such tasks.
  signKeptEveryMs: 1000,
  lastLinesMax: 10,
  lastLinesBytesMax: 4096,
  // Twenty open files; half a thousand tasks that failed meanwhile keep the node from its managers for 25 s at most.
  explainedAtATime: 20,
  lastLinesTimeoutMs: 1000,
};
