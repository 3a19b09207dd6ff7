/** What lies in a heap carries its own place, so that it can be moved or taken out from the middle. */
export interface HeapItem {
  /** Place in the heap; -1 while in none. Written by the heap only. An item is in one heap at most. */
  heapIndex: number;
}

/**
 * Binary heap whose items can change their rank: `update` after the change puts the item where it belongs. With a total
 * order, what `peek` gives does not depend on how the heap came about.
 */
export class Heap<Item extends HeapItem> {
  readonly #items: Item[] = [];
  /** Negative when `a` comes before `b`. */
  readonly #compare: (a: Item, b: Item) => number;

  constructor(compare: (a: Item, b: Item) => number) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#items.length;
  }

  /** The first item, which stays. */
  peek(): Item | undefined {
    return this.#items[0];
  }

  push(item: Item): void {
    item.heapIndex = this.#items.length;
    this.#items.push(item);
    this.#up(item);
  }

  pop(): Item | undefined {
    const first = this.#items[0];
    if (first !== undefined) this.remove(first);
    return first;
  }

  /** Takes the item out; nothing happens when it is not in. */
  remove(item: Item): void {
    const index = item.heapIndex;
    if (index < 0) return;
    item.heapIndex = -1;
    const last = this.#items.pop();
    if (last === undefined || last === item) return;
    this.#items[index] = last;
    last.heapIndex = index;
    this.#up(last);
    this.#down(last);
  }

  /** Moves the item to its place after its rank has changed. */
  update(item: Item): void {
    this.#up(item);
    this.#down(item);
  }

  clear(): void {
    for (const item of this.#items) item.heapIndex = -1;
    this.#items.length = 0;
  }

  #up(item: Item): void {
    const items = this.#items;
    let index = item.heapIndex;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = items[parentIndex] as Item;
      if (this.#compare(item, parent) >= 0) break;
      items[index] = parent;
      parent.heapIndex = index;
      index = parentIndex;
    }
    items[index] = item;
    item.heapIndex = index;
  }

  #down(item: Item): void {
    const items = this.#items;
    const size = items.length;
    let index = item.heapIndex;
    for (;;) {
      let childIndex = 2 * index + 1;
      if (childIndex >= size) break;
      let child = items[childIndex] as Item;
      if (childIndex + 1 < size) {
        const right = items[childIndex + 1] as Item;
        if (this.#compare(right, child) < 0) {
          child = right;
          childIndex++;
        }
      }
      if (this.#compare(item, child) <= 0) break;
      items[index] = child;
      child.heapIndex = index;
      index = childIndex;
    }
    items[index] = item;
    item.heapIndex = index;
  }
}
