import { cancelledError } from '../archive/archive-error.ts';

interface Shared<Result, Event> {
  readonly promise: Promise<Result>;
  readonly controller: AbortController;
  readonly listeners: Set<(event: Event) => void>;
  waiters: number;
}

/**
 * Work that is wanted by several at once is done once. It goes on as long as anybody waits for it, and is cancelled
 * when the last one has gone.
 */
export class SharedWork<Result, Event> {
  readonly #running = new Map<string, Shared<Result, Event>>();

  /** Joins the work of that key, or begins it. Throws `cancelled` as soon as this caller's signal aborts. */
  async join(
    key: string,
    signal: AbortSignal,
    onEvent: (event: Event) => void,
    begin: (signal: AbortSignal, emit: (event: Event) => void) => Promise<Result>,
  ): Promise<Result> {
    if (signal.aborted) throw cancelledError('the operation');
    const shared = this.#running.get(key) ?? this.#start(key, begin);
    shared.waiters++;
    shared.listeners.add(onEvent);
    let onAbort = (): void => {};
    const aborted = new Promise<never>((_resolve, reject) => {
      onAbort = () => reject(cancelledError('the operation'));
      signal.addEventListener('abort', onAbort, { once: true });
    });
    try {
      return await Promise.race([shared.promise, aborted]);
    } finally {
      signal.removeEventListener('abort', onAbort);
      shared.listeners.delete(onEvent);
      shared.waiters--;
      if (shared.waiters === 0) this.#abandon(key, shared);
    }
  }

  #start(
    key: string,
    begin: (signal: AbortSignal, emit: (event: Event) => void) => Promise<Result>,
  ): Shared<Result, Event> {
    const controller = new AbortController();
    const listeners = new Set<(event: Event) => void>();
    const emit = (event: Event): void => {
      for (const listener of listeners) listener(event);
    };
    // Not before whoever began it listens.
    const promise = Promise.resolve().then(() => begin(controller.signal, emit));
    const shared = { promise, controller, listeners, waiters: 0 };
    this.#running.set(key, shared);
    const forget = (): void => {
      if (this.#running.get(key) === shared) this.#running.delete(key);
    };
    promise.then(forget, forget);
    return shared;
  }

  /** A caller that comes from now on begins anew. */
  #abandon(key: string, shared: Shared<Result, Event>): void {
    shared.controller.abort();
    if (this.#running.get(key) === shared) this.#running.delete(key);
  }
}
