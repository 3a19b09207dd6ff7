/** Counts by two keys; a pair whose count falls to zero is gone. */
export class PairCounts {
  /** Invariant: no count is zero, no inner map is empty. */
  readonly #counts = new Map<string, Map<string, number>>();

  clear(): void {
    this.#counts.clear();
  }

  add(first: string, second: string): void {
    let inner = this.#counts.get(first);
    if (inner === undefined) {
      inner = new Map();
      this.#counts.set(first, inner);
    }
    inner.set(second, (inner.get(second) ?? 0) + 1);
  }

  subtract(first: string, second: string): void {
    const inner = this.#counts.get(first);
    const count = inner?.get(second) ?? 0;
    if (inner === undefined || count === 0) return;
    if (count > 1) inner.set(second, count - 1);
    else inner.delete(second);
    if (inner.size === 0) this.#counts.delete(first);
  }

  /** Second keys that are counted with this first one. */
  of(first: string): Iterable<string> {
    return this.#counts.get(first)?.keys() ?? [];
  }
}
