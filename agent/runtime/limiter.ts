/** At most so many at once, the others in line, the line itself bounded. */
import { SwarmError } from '#common/errors.ts';

export class Limiter {
  readonly #concurrency: number;
  readonly #queueLength: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(concurrency: number, queueLength: number) {
    this.#concurrency = concurrency;
    this.#queueLength = queueLength;
  }

  /** Runs the work when its turn comes. Throws `too-many` when the line is full, `cancelled` when aborted before. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#enter(signal);
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  async #enter(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    if (this.#running < this.#concurrency) {
      this.#running++;
      return;
    }
    if (this.#waiting.length >= this.#queueLength)
      throw new SwarmError({
        code: 'exhausted',
        reason: 'too-many',
        message: `${this.#waiting.length} container operations are waiting already`,
        hint: 'try again later',
      });
    await new Promise<void>((resolve, reject) => {
      const turn = (): void => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      const abort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(turn), 1);
        reject(cancelled());
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.push(turn);
    });
  }

  #leave(): void {
    const next = this.#waiting.shift();
    // The place is handed over: the count stays.
    if (next === undefined) this.#running--;
    else next();
  }
}

function cancelled(): SwarmError {
  return new SwarmError({ code: 'cancelled', reason: 'cancelled', message: 'the operation was cancelled' });
}

/** As AbortSignal's own, with our error. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw cancelled();
}
