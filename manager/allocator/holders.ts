/**
 * Who holds what. Normally one holds a thing; a second entry is the same holder's, who has asked for what it will have,
 * or comes from a store in which something went wrong: then what one of them gives back stays taken by the other.
 */
export class Holders<Key> {
  readonly #holders = new Map<Key, readonly string[]>();

  get isEmpty(): boolean {
    return this.#holders.size === 0;
  }

  of(key: Key): readonly string[] {
    return this.#holders.get(key) ?? NOBODY;
  }

  /** Everybody who holds something. */
  everybody(): ReadonlySet<string> {
    return new Set([...this.#holders.values()].flat());
  }

  has(key: Key): boolean {
    return this.#holders.has(key);
  }

  /** True when nobody held it before. */
  add(key: Key, holder: string): boolean {
    const before = this.#holders.get(key);
    this.#holders.set(key, before === undefined ? [holder] : [...before, holder]);
    return before === undefined;
  }

  /** True when nobody holds it any more. */
  remove(key: Key, holder: string): boolean {
    const before = this.#holders.get(key);
    const place = before?.indexOf(holder) ?? -1;
    if (before === undefined || place < 0) return false;
    if (before.length === 1) return this.#holders.delete(key);
    this.#holders.set(key, before.toSpliced(place, 1));
    return false;
  }

  clear(): void {
    this.#holders.clear();
  }
}

/** How a service holds addresses that are fixed for its tasks, so that nobody else gets them in the meantime. */
export function fixedHolder(serviceId: string): string {
  return `fixed/${serviceId}`;
}

export function isFixedHolder(holder: string): boolean {
  return holder.startsWith('fixed/');
}

const NOBODY: readonly string[] = [];
