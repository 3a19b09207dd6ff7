import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';

interface Waiter {
  readonly isMet: () => boolean;
  readonly resolve: () => void;
  readonly reject: (error: SwarmError) => void;
}

/** Those who wait for something to become true of the log. */
export class Waiters {
  readonly #clock: Clock;
  #waiters: Waiter[] = [];
  #failure: SwarmError | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves once the condition holds; rejects when the log stops, or with `timeout`. */
  until(isMet: () => boolean, timeout?: { readonly timeoutMs: number; readonly what: string }): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (isMet()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      let cancel = (): void => {};
      const waiter: Waiter = {
        isMet,
        resolve: () => {
          cancel();
          resolve();
        },
        reject: (error) => {
          cancel();
          reject(error);
        },
      };
      this.#waiters.push(waiter);
      if (timeout === undefined) return;
      cancel = this.#clock.setTimer(timeout.timeoutMs, () => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reject(timedOut(timeout.what, timeout.timeoutMs));
      });
    });
  }

  check(): void {
    if (this.#waiters.length === 0) return;
    const met = this.#waiters.filter((waiter) => waiter.isMet());
    this.#waiters = this.#waiters.filter((waiter) => !met.includes(waiter));
    for (const waiter of met) waiter.resolve();
  }

  rejectAll(error: SwarmError): void {
    this.#failure = error;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }
}

function timedOut(what: string, timeoutMs: number): SwarmError {
  return new SwarmError({
    code: 'deadline',
    reason: 'timeout',
    message: `timed out after ${timeoutMs} ms waiting for ${what}`,
    hint: 'try again; `swarm node ls` shows which managers are reachable',
  });
}
