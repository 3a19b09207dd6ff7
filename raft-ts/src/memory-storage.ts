import { RaftError } from './errors.ts';
import { limitSize } from './sizes.ts';
import type { Gap, Storage } from './storage.ts';
import {
  type ConfState,
  EMPTY_CONF_STATE,
  EMPTY_HARD_STATE,
  type Entry,
  type HardState,
  NO_DATA,
  type Snapshot,
} from './types.ts';

const NO_SNAPSHOT: Snapshot = { index: 0, term: 0, confState: EMPTY_CONF_STATE, data: NO_DATA };

/**
 * A storage in memory: for tests, for simulation, and as the readable half of a durable one, which writes to disk first
 * and here afterwards.
 */
export class MemoryStorage implements Storage {
  #hardState: HardState = EMPTY_HARD_STATE;
  #snapshot: Snapshot = NO_SNAPSHOT;
  /** Index and term of the entry before `#entries`: of the last snapshot or compaction. */
  #base: { readonly index: number; readonly term: number } = { index: 0, term: 0 };
  /** Invariant: consecutive indexes from `#base.index + 1`. */
  #entries: Entry[] = [];

  initialState(): { readonly hardState: HardState; readonly confState: ConfState } {
    return { hardState: this.#hardState, confState: this.#snapshot.confState };
  }

  firstIndex(): number {
    return this.#base.index + 1;
  }

  lastIndex(): number {
    return this.#base.index + this.#entries.length;
  }

  term(index: number): number | Gap {
    if (index < this.#base.index) return 'compacted';
    if (index === this.#base.index) return this.#base.term;
    return this.#entries[index - this.#base.index - 1]?.term ?? 'unavailable';
  }

  entries(low: number, high: number, maxBytes: number): readonly Entry[] | Gap {
    if (low <= this.#base.index) return 'compacted';
    if (high > this.lastIndex() + 1) return 'unavailable';
    return limitSize(this.#entries.slice(low - this.#base.index - 1, high - this.#base.index - 1), maxBytes);
  }

  snapshot(): Snapshot | 'unavailable' {
    return this.#snapshot;
  }

  setHardState(state: HardState): void {
    this.#hardState = state;
  }

  /** Writes entries, in place of what was at and after the first one's index. What is already compacted is skipped. */
  append(entries: readonly Entry[]): void {
    const fresh = entries.filter((entry) => entry.index > this.#base.index);
    const first = fresh[0];
    if (first === undefined) return;
    const keep = first.index - this.#base.index - 1;
    if (keep > this.#entries.length)
      throw new RaftError('storage', `missing log entry [last: ${this.lastIndex()}, append at: ${first.index}]`);
    this.#entries.length = keep;
    for (const entry of fresh) this.#entries.push(entry);
  }

  /** Puts a received snapshot in place of everything. False, and no change, if a newer one is here. */
  applySnapshot(snapshot: Snapshot): boolean {
    if (this.#snapshot.index >= snapshot.index && this.#snapshot.index > 0) return false;
    this.#snapshot = snapshot;
    this.#base = { index: snapshot.index, term: snapshot.term };
    this.#entries = [];
    return true;
  }

  /** Makes a snapshot as of an index that is in the log. Undefined if a newer one is here. */
  createSnapshot(index: number, confState: ConfState, data: Uint8Array): Snapshot | undefined {
    if (index <= this.#snapshot.index) return undefined;
    const term = this.term(index);
    if (typeof term !== 'number')
      throw new RaftError('storage', `snapshot ${index} is out of bound lastindex(${this.lastIndex()})`);
    this.#snapshot = { index, term, confState, data };
    return this.#snapshot;
  }

  /** Forgets the entries up to and including an index. False if that is done already. */
  compact(index: number): boolean {
    if (index <= this.#base.index) return false;
    const term = this.term(index);
    if (typeof term !== 'number')
      throw new RaftError('storage', `compact ${index} is out of bound lastindex(${this.lastIndex()})`);
    this.#entries = this.#entries.slice(index - this.#base.index);
    this.#base = { index, term };
    return true;
  }
}
