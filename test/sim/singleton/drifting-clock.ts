import { ManualClock } from '#common/clock.ts';

/** The clock of one host: up to 5 % fast or slow, and its wall clock may be set. Time may pass while a process stands still. */
export class DriftingClock extends ManualClock {
  readonly rate: number;
  #standstillMs = 0;

  constructor(rate: number) {
    super();
    this.rate = rate;
  }

  override now(): number {
    return Math.floor(super.now() + this.#standstillMs);
  }

  override monotonic(): number {
    return super.monotonic() + this.#standstillMs;
  }

  /** So much true time passes. */
  pass(trueMs: number): void {
    this.advance(trueMs * this.rate);
  }

  /** The process that uses the clock is stopped meanwhile: its timers do not fire, and are late afterwards. */
  standStill(trueMs: number): void {
    this.#standstillMs += trueMs * this.rate;
  }
}
