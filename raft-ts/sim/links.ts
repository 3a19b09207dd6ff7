/** Which of a network's links are cut, one way or both. */
export class Links<Id extends string | number> {
  /** Links that are cut, as `from>to`. */
  readonly #cut = new Set<string>();

  cut(from: Id, to: Id): void {
    this.#cut.add(`${from}>${to}`);
  }

  isCut(from: Id, to: Id): boolean {
    return this.#cut.has(`${from}>${to}`);
  }

  /** Cuts every link between two groups, both ways. */
  partition(left: readonly Id[], right: readonly Id[]): void {
    for (const a of left)
      for (const b of right) {
        this.cut(a, b);
        this.cut(b, a);
      }
  }

  mend(): void {
    this.#cut.clear();
  }
}
