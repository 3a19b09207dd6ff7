import { SwarmError } from '#common/errors.ts';
import { cancelledError } from '../archive/archive-error.ts';

interface Waiting {
  readonly grant: () => void;
}

/** Lets a number of things happen at once and the rest wait in line, up to a bound. */
export class ProcessSlots {
  readonly #slotsMax: number;
  readonly #queueMax: number;
  #taken = 0;
  #queue: Waiting[] = [];

  constructor(slotsMax: number, queueMax: number) {
    this.#slotsMax = slotsMax;
    this.#queueMax = queueMax;
  }

  /** Runs the work when its turn comes. Throws `too-many` when the line is full, `cancelled` when aborted in it. */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#enter(signal);
    try {
      return await work();
    } finally {
      const next = this.#queue.shift();
      // The slot passes on to whoever waits; only without one does it become free.
      if (next === undefined) this.#taken--;
      else next.grant();
    }
  }

  async #enter(signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw cancelledError('the operation');
    if (this.#taken < this.#slotsMax) {
      this.#taken++;
      return;
    }
    if (this.#queue.length >= this.#queueMax)
      throw new SwarmError({
        code: 'exhausted',
        reason: 'too-many',
        message: `${this.#queue.length} image operations are waiting on this node already`,
        limit: 'processQueueMax',
        hint: 'try again later',
      });
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#queue = this.#queue.filter((other) => other !== waiting);
        reject(cancelledError('the operation'));
      };
      const waiting: Waiting = {
        grant: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#queue.push(waiting);
    });
  }
}
