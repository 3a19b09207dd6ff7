import type { ConfState, Entry, HardState, Snapshot } from './types.ts';

/** An index that cannot be read: `compacted` away, or `unavailable` because it is beyond the last one. */
export type Gap = 'compacted' | 'unavailable';

/**
 * What the core reads of stable storage, synchronously: keep recent entries in memory. The application writes to the
 * same storage what each `Ready` holds. An implementation that cannot answer must throw, and the node must stop.
 */
export interface Storage {
  /** The stored state, read once at start. */
  initialState(): { readonly hardState: HardState; readonly confState: ConfState };

  /**
   * Entries [low, high), as many as fit `maxBytes` but at least one. Must hold everything from `firstIndex` to
   * `lastIndex`. The array is not changed afterwards.
   */
  entries(low: number, high: number, maxBytes: number): readonly Entry[] | Gap;

  /** The term of an entry in [firstIndex - 1, lastIndex]: that of the entry before the first is kept for comparison. */
  term(index: number): number | Gap;

  /** The first entry that can be read: one after the last snapshot or compaction. */
  firstIndex(): number;

  /** The last entry written; `firstIndex() - 1` if there is none. */
  lastIndex(): number;

  /** The newest snapshot. `unavailable` while one is being made: the core asks again later. */
  snapshot(): Snapshot | 'unavailable';
}
