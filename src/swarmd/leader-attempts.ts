import { type BackoffOptions, backoffDelay } from '#common/backoff.ts';
import type { Clock } from '#common/clock.ts';
import type { Random } from '#common/random.ts';
import type { LeaderCallsConfig } from './leader-config.ts';

export interface AttemptsOptions {
  readonly clock: Clock;
  readonly random: Random;
}

/** How often one call has been tried, and until when it may be tried again. */
export class Attempts {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #retry: BackoffOptions;
  readonly #windowMs: number;
  readonly #startMs: number;
  #count = 0;
  /** Monotonic. Begins with the first failure: how long the leader took until then is not counted. */
  #untilMs = Number.POSITIVE_INFINITY;

  constructor({ clock, random }: AttemptsOptions, config: LeaderCallsConfig) {
    this.#clock = clock;
    this.#random = random;
    this.#retry = config.retry;
    this.#windowMs = config.leaderWaitMs;
    this.#startMs = clock.monotonic();
  }

  get untilMs(): number {
    return this.#untilMs;
  }

  /** Whether it is longer ago than a leader is waited for that this began. */
  get lasted(): boolean {
    return this.#clock.monotonic() - this.#startMs > this.#windowMs;
  }

  /** Notes a failure; true when there is no time for another attempt. */
  failed(): boolean {
    const nowMs = this.#clock.monotonic();
    if (this.#untilMs === Number.POSITIVE_INFINITY) this.#untilMs = nowMs + this.#windowMs;
    return nowMs >= this.#untilMs;
  }

  nextDelayMs(): number {
    return backoffDelay(this.#retry, this.#count++, this.#random);
  }
}
