import { assert, type SwarmError } from '#common/errors.ts';
import type { CommitEvents, SubscribeOptions, Subscription, WatchHub } from '#manager/store/index.ts';

export type WatchOptions = Omit<SubscribeOptions, 'wake'>;

/**
 * Commits as they happen, for one reader. Ends when it is closed, or throws: `slow-watcher` when the reader fell too far
 * behind, `version-gone` when the state was replaced, `shutting-down`.
 */
export class CommitStream implements AsyncIterableIterator<CommitEvents> {
  readonly #subscription: Subscription;
  #wake: (() => void) | undefined;

  private constructor(hub: WatchHub, options: WatchOptions) {
    const subscription = hub.subscribe({ ...options, wake: () => this.#wakeUp() });
    if (subscription instanceof Error) throw subscription;
    this.#subscription = subscription;
  }

  /** Throws `version-gone` when the commits after the version are not kept any more. */
  static open(hub: WatchHub, options: WatchOptions): CommitStream {
    return new CommitStream(hub, options);
  }

  async next(): Promise<IteratorResult<CommitEvents, undefined>> {
    for (;;) {
      const commit = this.#subscription.take();
      if (commit !== undefined) return { done: false, value: commit };
      const { end } = this.#subscription;
      if (end?.error !== undefined) throw end.error;
      if (end !== undefined) return { done: true, value: undefined };
      assert(this.#wake === undefined, 'a stream has one reader');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Ends the stream; a waiting `next` is told. Safe to repeat. */
  close(): void {
    this.#subscription.close();
  }

  /** Of an early `break` out of a loop. */
  return(): Promise<IteratorResult<CommitEvents, undefined>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Why the stream ended, once it has. */
  get error(): SwarmError | undefined {
    return this.#subscription.end?.error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
