interface Event {
  readonly atMs: number;
  /** Among events of the same time, the order in which they were made. */
  readonly sequence: number;
  readonly run: () => void;
}

function isBefore(left: Event, right: Event): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.sequence < right.sequence);
}

/** A real turn of the event loop, kept from before the doors to it are closed. */
const realImmediate = setImmediate;

/** Everything that was promised and is due has happened when this resolves. */
function allPromisesSettled(): Promise<void> {
  return new Promise((resolve) => realImmediate(resolve));
}

/**
 * Virtual time: what is to happen, in order. Between two events all promises that can settle do, so what happens next
 * never depends on how fast the machine is.
 */
export class VirtualTime {
  #nowMs = 0;
  #sequence = 0;
  readonly #heap: Event[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events so far. */
  get events(): number {
    return this.#sequence;
  }

  after(delayMs: number, run: () => void): void {
    const heap = this.#heap;
    heap.push({ atMs: this.#nowMs + Math.max(0, delayMs), sequence: this.#sequence++, run });
    for (let at = heap.length - 1; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!this.#swapIfBefore(at, parent)) break;
      at = parent;
    }
  }

  /** Runs what happens up to a time. Stops early, and says so, when `until` holds after an event. */
  async run(endMs: number, until: () => boolean): Promise<boolean> {
    for (;;) {
      const [first] = this.#heap;
      if (first === undefined || first.atMs > endMs) break;
      this.#pop();
      this.#nowMs = first.atMs;
      first.run();
      await allPromisesSettled();
      if (until()) return true;
    }
    this.#nowMs = endMs;
    return false;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    heap[0] = last;
    for (let at = 0; ; ) {
      const left = 2 * at + 1;
      const [a, b] = [heap[left], heap[left + 1]];
      if (a === undefined) return;
      const child = b !== undefined && isBefore(b, a) ? left + 1 : left;
      if (!this.#swapIfBefore(child, at)) return;
      at = child;
    }
  }

  #swapIfBefore(child: number, parent: number): boolean {
    const [a, b] = [this.#heap[child], this.#heap[parent]];
    if (a === undefined || b === undefined || !isBefore(a, b)) return false;
    this.#heap[parent] = a;
    this.#heap[child] = b;
    return true;
  }
}
