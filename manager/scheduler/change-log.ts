import type { NodeRecord } from './node-record.ts';

/**
 * What a reader does with one change; `improved` means that the node may suit where it did not, or suit better. False
 * ends the reading after this change.
 */
export type ChangeReader = (record: NodeRecord, improved: boolean) => boolean;

/**
 * Which nodes changed, in order. Readers keep a cursor each and come when they like; one that stayed away for too long
 * has to look at all nodes again.
 */
export class ChangeLog {
  #records: NodeRecord[] = [];
  #improved: boolean[] = [];
  /** Number of the first entry that is still there. */
  #base = 0;
  /** Number of the last improvement, plus one. */
  #lastImprovement = 0;
  readonly #sizeMax: () => number;

  /** `sizeMax`: beyond that many entries, going over all nodes is cheaper than reading on. */
  constructor(sizeMax: () => number) {
    this.#sizeMax = sizeMax;
  }

  /** The cursor of a reader that has seen everything. */
  get end(): number {
    return this.#base + this.#records.length;
  }

  /** Whether a reader at the cursor has an improvement ahead, or has lost its place. */
  hasImprovement(cursor: number): boolean {
    return this.#lastImprovement > cursor || cursor < this.#base;
  }

  push(record: NodeRecord, improved: boolean): void {
    this.#records.push(record);
    this.#improved.push(improved);
    if (improved) this.#lastImprovement = this.end;
    const sizeMax = this.#sizeMax();
    if (this.#records.length > 2 * sizeMax) {
      const dropped = this.#records.length - sizeMax;
      this.#records = this.#records.slice(dropped);
      this.#improved = this.#improved.slice(dropped);
      this.#base += dropped;
    }
  }

  /** Reads on from the cursor. Gives the new one; undefined when entries before it are gone: nothing was read. */
  read(cursor: number, reader: ChangeReader): number | undefined {
    if (cursor < this.#base) return undefined;
    let next = cursor;
    while (next < this.end) {
      const index = next++ - this.#base;
      if (!reader(this.#records[index] as NodeRecord, this.#improved[index] as boolean)) break;
    }
    return next;
  }
}
