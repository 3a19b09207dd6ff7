import type { SwarmError } from '#common/errors.ts';

/** What a queue asks of the stream that fills it. */
export interface QueueSource {
  /** Enough for now; nothing but what is already on its way may follow. */
  pause(): void;
  resume(): void;
  /** The reader has gone: what still comes is dropped. */
  cancel(): void;
}

/**
 * Messages between a stream that pushes and a reader that pulls, one reader only. The stream is paused when the reader
 * falls behind, and cancelled when the reader stops early (`break` in a `for await`).
 */
export class MessageQueue<T> implements AsyncIterableIterator<T> {
  readonly #source: QueueSource;
  readonly #ahead: number;
  #waiting: T[] = [];
  #reader:
    | { readonly resolve: (result: IteratorResult<T>) => void; readonly reject: (error: unknown) => void }
    | undefined;
  #paused = false;
  #ended = false;
  #error: SwarmError | undefined;

  constructor(source: QueueSource, ahead: number) {
    this.#source = source;
    this.#ahead = ahead;
  }

  push(message: T): void {
    if (this.#ended) return;
    const reader = this.#reader;
    if (reader !== undefined) {
      this.#reader = undefined;
      reader.resolve({ done: false, value: message });
      return;
    }
    this.#waiting.push(message);
    if (!this.#paused && this.#waiting.length >= this.#ahead) {
      this.#paused = true;
      this.#source.pause();
    }
  }

  /** No message follows. What waits is still read; then the reader sees the end, or the error. */
  finish(error?: SwarmError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    const reader = this.#reader;
    if (reader === undefined) return;
    this.#reader = undefined;
    if (error === undefined) reader.resolve({ done: true, value: undefined });
    else {
      this.#error = undefined;
      reader.reject(error);
    }
  }

  next(): Promise<IteratorResult<T>> {
    const message = this.#waiting.shift();
    if (message !== undefined) {
      if (this.#paused && !this.#ended && this.#waiting.length < this.#ahead / 2) {
        this.#paused = false;
        this.#source.resume();
      }
      return Promise.resolve({ done: false, value: message });
    }
    if (this.#ended) {
      const error = this.#error;
      this.#error = undefined;
      return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
    }
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  return(): Promise<IteratorResult<T>> {
    const wasOpen = !this.#ended;
    this.#ended = true;
    this.#error = undefined;
    this.#waiting = [];
    this.#reader?.resolve({ done: true, value: undefined });
    this.#reader = undefined;
    if (wasOpen) this.#source.cancel();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
