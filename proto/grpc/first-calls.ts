/**
 * First calls of connections. Reading who is at the other end takes most of a millisecond, and when many connections are
 * made at once, after a change of leader say, hundreds of such calls come in one turn of the loop: they are begun in
 * slices, with a turn of the loop between.
 */
export class FirstCalls {
  readonly #sliceMs: number;
  /** Oldest first. As many as there are streams, which connections bound. */
  #waiting: (() => void)[] = [];
  #isScheduled = false;

  constructor(sliceMs: number) {
    this.#sliceMs = sliceMs;
  }

  /** `begin` may not throw. */
  add(begin: () => void): void {
    this.#waiting.push(begin);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#run());
  }

  #run(): void {
    this.#isScheduled = false;
    const endMs = performance.now() + this.#sliceMs;
    let begun = 0;
    for (const begin of this.#waiting) {
      begun++;
      begin();
      if (performance.now() >= endMs) break;
    }
    this.#waiting = this.#waiting.slice(begun);
    if (this.#waiting.length > 0) this.#schedule();
  }
}
