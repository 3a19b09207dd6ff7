import { SwarmError } from '#common/errors.ts';

/** The writing side of a stream: passes messages on, and tells writers when to go on. */
export class WriteGate {
  /** Hands one message to the stream; false when the stream has enough and will call `drained`. */
  readonly #send: (bytes: Uint8Array) => boolean;
  readonly #limit: number;
  #waiters: { readonly resolve: () => void; readonly reject: (error: SwarmError) => void }[] = [];
  #closed: SwarmError | undefined;

  constructor(send: (bytes: Uint8Array) => boolean, limit: number) {
    this.#send = send;
    this.#limit = limit;
  }

  /**
   * Sends the message at once and resolves when the next one may follow.
   * @throws SwarmError the reason why the stream ended; `exhausted` for a writer that never waits.
   */
  write(bytes: Uint8Array): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (this.#waiters.length >= this.#limit)
      return Promise.reject(
        new SwarmError({
          code: 'exhausted',
          reason: 'too-many',
          message: `${this.#limit} messages wait for a peer that does not read`,
        }),
      );
    if (this.#send(bytes)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
  }

  drained(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.resolve();
  }

  /** The writer has said all it had to. */
  end(): void {
    this.drained();
    this.close(
      new SwarmError({
        code: 'precondition',
        reason: 'out-of-sequence',
        message: 'nothing can be written after the end',
      }),
    );
  }

  /** Later writes, and those that wait, fail with the error. */
  close(error: SwarmError): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(error);
  }
}
