/** Who is to be looked at again when something of a name happens. */
export class Waiters {
  readonly #byKey = new Map<string, Set<string>>();
  readonly #keysOf = new Map<string, readonly string[]>();
  /** Keys that fewer wait for than before; emptied by the reader. */
  readonly relieved = new Set<string>();

  get keys(): Iterable<string> {
    return this.#byKey.keys();
  }

  clear(): void {
    this.#byKey.clear();
    this.#keysOf.clear();
    this.relieved.clear();
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  /** From now on it waits for these, and for nothing else. */
  wait(id: string, keys: readonly string[]): void {
    this.forget(id);
    if (keys.length === 0) return;
    this.#keysOf.set(id, keys);
    for (const key of keys) {
      const ids = this.#byKey.get(key);
      if (ids === undefined) this.#byKey.set(key, new Set([id]));
      else ids.add(id);
    }
  }

  forget(id: string): void {
    for (const key of this.#keysOf.get(id) ?? []) {
      this.relieved.add(key);
      const ids = this.#byKey.get(key);
      if (ids?.delete(id) === true && ids.size === 0) this.#byKey.delete(key);
    }
    this.#keysOf.delete(id);
  }

  /** Those who waited for it; they do not wait any more. */
  take(key: string): readonly string[] {
    const ids = [...(this.#byKey.get(key) ?? [])];
    for (const id of ids) this.forget(id);
    return ids;
  }
}
