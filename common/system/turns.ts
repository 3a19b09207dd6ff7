/** Work under one name takes turns, in the order in which it was asked for; other names go on beside it. */
export class Turns {
  /** Invariant: an entry leaves when its last work is done. */
  readonly #lanes = new Map<string, Promise<unknown>>();

  /** Settles as the work does. Work that failed is no reason not to begin what comes after it. */
  take<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#lanes.get(name) ?? Promise.resolve();
    const done = before.then(work);
    const settled = done
      .catch(() => undefined)
      .finally(() => {
        if (this.#lanes.get(name) === settled) this.#lanes.delete(name);
      });
    this.#lanes.set(name, settled);
    return done;
  }

  /** Resolves when all that was asked for by now is over, however it ended. */
  async over(): Promise<void> {
    await Promise.all(this.#lanes.values());
  }

  /** Names with work that is not over. */
  get size(): number {
    return this.#lanes.size;
  }
}
