import type { CancelTimer, Clock } from '#common/clock.ts';
import type { NextTurn } from './pump.ts';

/**
 * Calls at a steady interval, each time after the input that waits: a manager that was busy or paused must hear its
 * peers before it concludes that they are silent. For the same reason what was missed is not made up.
 */
export class Ticker {
  readonly #clock: Clock;
  readonly #nextTurn: NextTurn;
  readonly #intervalMs: number;
  readonly #tick: () => void;
  #cancel: CancelTimer | undefined;
  #dueMs = 0;

  constructor(clock: Clock, nextTurn: NextTurn, intervalMs: number, tick: () => void) {
    this.#clock = clock;
    this.#nextTurn = nextTurn;
    this.#intervalMs = intervalMs;
    this.#tick = tick;
  }

  start(): void {
    this.#dueMs = this.#clock.monotonic();
    this.#schedule();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #schedule(): void {
    const now = this.#clock.monotonic();
    this.#dueMs += this.#intervalMs;
    if (this.#dueMs <= now) this.#dueMs = now + this.#intervalMs;
    this.#cancel = this.#clock.setTimer(this.#dueMs - now, () =>
      this.#nextTurn(() => {
        if (this.#cancel === undefined) return;
        this.#schedule();
        this.#tick();
      }),
    );
  }
}
