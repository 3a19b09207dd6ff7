/** The seam to time. Deciding code gets `now` as an argument; driving code gets a Clock. */

/** Cancels a timer; calling it again, or after it fired, does nothing. */
export type CancelTimer = () => void;

export interface Clock {
  /** Wall clock, milliseconds since the epoch. May jump. For timestamps that users see. */
  now(): number;
  /** Milliseconds since an arbitrary start; never goes back. For intervals and deadlines. */
  monotonic(): number;
  /** Calls `fire` once, not before `delayMs` have passed on the monotonic clock. Never calls it synchronously. */
  setTimer(delayMs: number, fire: () => void): CancelTimer;
}

interface PendingTimer {
  readonly dueMs: number;
  readonly order: number;
  readonly fire: () => void;
}

/** A clock that moves only when told; timers fire in due order, ties in the order they were set. */
export class ManualClock implements Clock {
  #nowMs: number;
  #order = 0;
  #timers: PendingTimer[] = [];
  #epochMs: number;

  constructor(epochMs = 1_700_000_000_000) {
    this.#epochMs = epochMs;
    this.#nowMs = 0;
  }

  now(): number {
    return this.#epochMs + this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, fire: () => void): CancelTimer {
    const timer: PendingTimer = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, fire };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** When the next timer is due on the monotonic clock; undefined when none is set. */
  nextDue(): number | undefined {
    let due: number | undefined;
    for (const timer of this.#timers) if (due === undefined || timer.dueMs < due) due = timer.dueMs;
    return due;
  }

  /** Somebody sets the wall clock; timers and `monotonic` do not notice. */
  setWall(nowMs: number): void {
    this.#epochMs = nowMs - this.#nowMs;
  }

  /** Moves time forward, firing every timer that comes due on the way (also those set meanwhile). */
  advance(byMs: number): void {
    const target = this.#nowMs + byMs;
    for (;;) {
      let next: PendingTimer | undefined;
      for (const timer of this.#timers) {
        if (timer.dueMs > target) continue;
        if (next === undefined || timer.dueMs < next.dueMs || (timer.dueMs === next.dueMs && timer.order < next.order))
          next = timer;
      }
      if (next === undefined) break;
      const due = next;
      this.#timers = this.#timers.filter((other) => other !== due);
      this.#nowMs = Math.max(this.#nowMs, due.dueMs);
      due.fire();
    }
    this.#nowMs = target;
  }
}
