import type { Random } from './random.ts';

export interface BackoffOptions {
  readonly baseMs: number;
  readonly maxMs: number;
  /** Growth per attempt. */
  readonly factor: number;
  /** Share of the delay that is random: 0.5 means the delay is between 75 % and 125 % of its nominal value. */
  readonly jitter: number;
}

/** Delay before attempt number `attempt` (0 is the first retry). */
export function backoffDelay(options: BackoffOptions, attempt: number, random: Random): number {
  const nominal = Math.min(options.maxMs, options.baseMs * options.factor ** Math.min(attempt, 64));
  return nominal * (1 - options.jitter / 2 + options.jitter * random.next());
}
