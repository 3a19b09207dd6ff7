interface Event {
  readonly time: number;
  /** Order among events of the same time: the order in which they were made. */
  readonly sequence: number;
  readonly run: () => void;
}

function before(a: Event, b: Event): boolean {
  return a.time < b.time || (a.time === b.time && a.sequence < b.sequence);
}

/** Virtual time: what is to happen, in order (a binary heap). */
export class EventQueue {
  #now = 0;
  #sequence = 0;
  readonly #heap: Event[] = [];

  get now(): number {
    return this.#now;
  }

  /** Runs something after a delay, in virtual milliseconds. */
  after(delay: number, run: () => void): void {
    const event = { time: this.#now + Math.max(0, delay), sequence: this.#sequence++, run };
    this.#heap.push(event);
    let at = this.#heap.length - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#swapIfBefore(at, parent)) break;
      at = parent;
    }
  }

  /** Runs the events up to a time. Stops early, and says so, when `until` holds. */
  run(end: number, until: () => boolean): boolean {
    for (;;) {
      const [first] = this.#heap;
      if (first === undefined || first.time > end) break;
      this.#pop();
      this.#now = first.time;
      first.run();
      if (until()) return true;
    }
    this.#now = end;
    return false;
  }

  #pop(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const [a, b] = [this.#heap[left], this.#heap[left + 1]];
      if (a === undefined) return;
      const child = b !== undefined && before(b, a) ? left + 1 : left;
      if (!this.#swapIfBefore(child, at)) return;
      at = child;
    }
  }

  #swapIfBefore(child: number, parent: number): boolean {
    const [a, b] = [this.#heap[child], this.#heap[parent]];
    if (a === undefined || b === undefined || !before(a, b)) return false;
    this.#heap[parent] = a;
    this.#heap[child] = b;
    return true;
  }
}
