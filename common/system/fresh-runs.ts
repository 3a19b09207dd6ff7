/**
 * Runs one work, never twice at once. Who asks gets a run that begins after they asked: one that is under way may have
 * looked already at what they ask for. All who ask meanwhile share the run after it.
 */
export class FreshRuns<T> {
  readonly #work: () => Promise<T>;
  /** Never rejects; undefined: nothing is under way. */
  #running: Promise<void> | undefined;
  #next: Promise<T> | undefined;

  constructor(work: () => Promise<T>) {
    this.#work = work;
  }

  /** Settles as the run does. */
  run(): Promise<T> {
    if (this.#running === undefined) return this.#begin();
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.#begin();
    });
    return this.#next;
  }

  /** Resolves when all that was asked for by now is over, however it ended. */
  async over(): Promise<void> {
    await Promise.allSettled([this.#running, this.#next]);
  }

  #begin(): Promise<T> {
    const result = this.#work();
    const over = (): void => {
      // What waits begins before anybody who asks from here on.
      if (this.#next === undefined) this.#running = undefined;
    };
    this.#running = result.then(over, over);
    return result;
  }
}
