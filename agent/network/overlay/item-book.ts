/** What a namespace should hold, by who wants it, and what has changed since somebody last asked. */
import { type Item, keyOf, valueOf } from './kernel/operations.ts';

export interface ItemDelta {
  /** In an order in which each finds what it needs. */
  readonly set: readonly Item[];
  readonly delete: readonly Item[];
}

const KIND_ORDER: Readonly<Record<Item['kind'], number>> = {
  address: 0,
  neighbour: 1,
  forwarding: 2,
  route: 3,
  rule: 4,
};

/** Sorts in place, what is needed by others first. */
export function inOrder(items: Item[]): readonly Item[] {
  return items.sort((left, right) => KIND_ORDER[left.kind] - KIND_ORDER[right.kind]);
}

interface Entry {
  readonly item: Item;
  readonly source: string;
}

/**
 * Items with a source each ("peer <id>", "task <id>"). A source that gives an item with the key of another's takes it
 * over: an address has one owner, and the last word is the newest.
 */
export class ItemBook {
  readonly #entries = new Map<string, Entry>();
  readonly #keys = new Map<string, readonly string[]>();
  /** What was there at the last `take`, for every key that changed since. */
  readonly #before = new Map<string, Item | undefined>();

  /** All that this source wants; none ends what it wanted before. */
  put(source: string, items: readonly Item[]): void {
    const keys = items.map(keyOf);
    const kept = new Set(keys);
    for (const key of this.#keys.get(source) ?? [])
      if (!kept.has(key) && this.#entries.get(key)?.source === source) this.#change(key, undefined);
    items.forEach((item, index) => this.#change(keys[index] ?? '', { item, source }));
    if (keys.length === 0) this.#keys.delete(source);
    else this.#keys.set(source, keys);
  }

  has(source: string): boolean {
    return this.#keys.has(source);
  }

  /** Sources that begin with this. */
  sources(prefix: string): readonly string[] {
    return [...this.#keys.keys()].filter((source) => source.startsWith(prefix));
  }

  get(key: string): Item | undefined {
    return this.#entries.get(key)?.item;
  }

  get size(): number {
    return this.#entries.size;
  }

  *entries(): Generator<readonly [key: string, item: Item]> {
    for (const [key, { item }] of this.#entries) yield [key, item];
  }

  /** What has changed since the last call. */
  take(): ItemDelta {
    const set: Item[] = [];
    const gone: Item[] = [];
    for (const [key, before] of this.#before) {
      const after = this.#entries.get(key)?.item;
      if (after === undefined) {
        if (before !== undefined) gone.push(before);
      } else if (before === undefined || valueOf(before) !== valueOf(after)) set.push(after);
    }
    this.#before.clear();
    return { set: inOrder(set), delete: inOrder(gone).toReversed() };
  }

  #change(key: string, entry: Entry | undefined): void {
    if (!this.#before.has(key)) this.#before.set(key, this.#entries.get(key)?.item);
    if (entry === undefined) this.#entries.delete(key);
    else this.#entries.set(key, entry);
  }
}
