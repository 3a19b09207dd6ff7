import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { TaskNamespace } from './task-namespace.ts';

export interface NamespacePoolOptions {
  /** How many to keep ready. */
  readonly target: number;
  readonly retryMs: number;
  /** Makes one; called one at a time. */
  readonly make: () => Promise<TaskNamespace>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Namespaces made ahead of their tasks. Taking one starts making the next in the background; an empty pool makes the
 * taker wait for one. Invariant: at most `target` are ready, and at most one is being made, plus one per waiting taker.
 */
export class NamespacePool {
  readonly #options: NamespacePoolOptions;
  #ready: TaskNamespace[] = [];
  #refilling: Promise<void> | undefined;
  #cancelRetry: CancelTimer | undefined;
  #closed = false;

  constructor(options: NamespacePoolOptions) {
    this.#options = options;
  }

  /** Those that are ready now. */
  get ready(): readonly TaskNamespace[] {
    return this.#ready;
  }

  /** Fills the pool in the background. */
  start(): void {
    this.#refill();
  }

  /** A namespace that now belongs to the caller. Throws what making one throws. */
  async take(): Promise<TaskNamespace> {
    const ready = this.#ready.shift();
    this.#refill();
    return ready ?? (await this.#options.make());
  }

  /** Stops making more and waits for what is under way. The ready ones stay where they are. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRetry?.();
    await this.#refilling;
  }

  #refill(): void {
    if (this.#closed || this.#refilling !== undefined || this.#cancelRetry !== undefined) return;
    if (this.#ready.length >= this.#options.target) return;
    this.#refilling = this.#makeMissing().finally(() => {
      this.#refilling = undefined;
    });
  }

  async #makeMissing(): Promise<void> {
    const { target, make, retryMs, clock, logger } = this.#options;
    try {
      while (!this.#closed && this.#ready.length < target) this.#ready.push(await make());
    } catch (error) {
      logger.warn('cannot make a network namespace ahead of need', { error: SwarmError.from(error).message });
      if (this.#closed) return;
      this.#cancelRetry = clock.setTimer(retryMs, () => {
        this.#cancelRetry = undefined;
        this.#refill();
      });
    }
  }
}
