import { Heap, type HeapItem } from '#common/heap.ts';

interface Item<T> extends HeapItem {
  object: T;
}

/** What the queue orders by: the older first, so that who came first is served first, whoever leads. */
export interface Queued {
  readonly id: string;
  readonly createdAtMs: number;
}

export function byAge(a: Queued, b: Queued): number {
  return a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

/** Objects that are to be looked at, in an order that does not depend on how they came in. */
export class WorkQueue<T extends Queued> {
  readonly #items = new Map<string, Item<T>>();
  readonly #heap: Heap<Item<T>>;
  /** Taken out by the last plan, which wants to change them: unless the store says otherwise they are looked at again. */
  readonly #changing = new Set<Item<T>>();

  constructor(compare: (a: T, b: T) => number = byAge) {
    this.#heap = new Heap((a, b) => compare(a.object, b.object));
  }

  /** None is waiting to be looked at. */
  get isEmpty(): boolean {
    return this.#heap.size === 0;
  }

  clear(): void {
    this.#items.clear();
    this.#heap.clear();
    this.#changing.clear();
  }

  add(object: T): void {
    const before = this.#items.get(object.id);
    if (before !== undefined) this.#changing.delete(before);
    const item = before ?? { heapIndex: -1, object };
    this.#items.set(object.id, item);
    item.object = object;
    if (item.heapIndex >= 0) this.#heap.update(item);
    else this.#heap.push(item);
  }

  remove(id: string): void {
    const item = this.#items.get(id);
    if (item === undefined) return;
    this.#items.delete(id);
    this.#changing.delete(item);
    this.#heap.remove(item);
  }

  peek(): T | undefined {
    return this.#heap.peek()?.object;
  }

  /** Takes the first one out: it is done with. */
  pop(): T | undefined {
    const item = this.#heap.pop();
    if (item !== undefined) this.#items.delete(item.object.id);
    return item?.object;
  }

  /** The object is to be changed: it comes back with the next plan, or with the event that the change makes. */
  changing(object: T): void {
    const item = { heapIndex: -1, object };
    this.#items.set(object.id, item);
    this.#changing.add(item);
  }

  isChanging(id: string): boolean {
    const item = this.#items.get(id);
    return item !== undefined && this.#changing.has(item);
  }

  /** What the last plan wanted to change is either in the store by now, or was refused. */
  takeUpAgain(): void {
    for (const item of this.#changing) this.#heap.push(item);
    this.#changing.clear();
  }
}
