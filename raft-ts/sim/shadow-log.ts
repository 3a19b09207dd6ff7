import type { Entry, Snapshot } from '../src/index.ts';

/** A node's log as its Readys have told it, whether stored already or not: what the checks look at. */
export class ShadowLog {
  /** Index of the last entry that is not here any more. */
  base = 0;
  baseTerm = 0;
  #entries: Entry[] = [];

  get lastIndex(): number {
    return this.base + this.#entries.length;
  }

  term(index: number): number | undefined {
    return index === this.base ? this.baseTerm : this.#entries[index - this.base - 1]?.term;
  }

  at(index: number): Entry | undefined {
    return this.#entries[index - this.base - 1];
  }

  from(index: number): readonly Entry[] {
    return this.#entries.slice(Math.max(0, index - this.base - 1));
  }

  restore(snapshot: Snapshot): void {
    this.base = snapshot.index;
    this.baseTerm = snapshot.term;
    this.#entries = [];
  }

  /** False if the entries do not continue the log. */
  append(entries: readonly Entry[]): boolean {
    const [first] = entries;
    if (first === undefined) return true;
    const keep = first.index - this.base - 1;
    if (keep < 0 || keep > this.#entries.length) return false;
    this.#entries.length = keep;
    for (const entry of entries) this.#entries.push(entry);
    return entries.every((entry, at) => entry.index === first.index + at);
  }
}
