import { SwarmError } from '../errors.ts';

/**
 * A bounded queue between a producer and one consumer. `push` resolves at once while there is room and otherwise when
 * the consumer has made some; `offer` refuses instead of waiting. Ending lets the consumer drain what is queued.
 */
export class AsyncQueue<T> implements AsyncIterable<T> {
  readonly #capacity: number;
  #items: T[] = [];
  #ended = false;
  #failure: SwarmError | undefined;
  #wakeConsumer: (() => void) | undefined;
  #waitingProducers: (() => void)[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#items.length;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** False when there is no room, or the queue has ended: the item was not taken. */
  offer(item: T): boolean {
    if (this.#ended || this.#items.length >= this.#capacity) return false;
    this.#items.push(item);
    this.#wakeConsumer?.();
    return true;
  }

  /** @throws SwarmError `cancelled` when the queue ends before there is room. */
  async push(item: T): Promise<void> {
    while (!this.offer(item)) {
      if (this.#ended)
        throw new SwarmError({ code: 'cancelled', reason: 'cancelled', message: 'nobody listens any more' });
      await new Promise<void>((resolve) => this.#waitingProducers.push(resolve));
    }
  }

  end(): void {
    this.#ended = true;
    this.#wakeConsumer?.();
    this.#wakeProducers();
  }

  /** Ends the queue at once: what is queued is dropped and the consumer gets the error. */
  fail(error: SwarmError): void {
    this.#failure = error;
    this.#items = [];
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    try {
      for (;;) {
        const [item] = this.#items;
        if (item !== undefined || this.#items.length > 0) {
          this.#items.shift();
          this.#wakeProducers();
          yield item as T;
        } else if (this.#failure !== undefined) throw this.#failure;
        else if (this.#ended) return;
        else await this.#more();
      }
    } finally {
      this.#items = [];
      this.end();
    }
  }

  async #more(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wakeConsumer = resolve;
    });
    this.#wakeConsumer = undefined;
  }

  #wakeProducers(): void {
    const waiting = this.#waitingProducers;
    this.#waitingProducers = [];
    for (const wake of waiting) wake();
  }
}
