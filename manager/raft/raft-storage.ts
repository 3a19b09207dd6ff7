import { type ConfState, type Entry, type HardState, MemoryStorage, NO_DATA, type Snapshot } from 'raft-ts';
import type { LogPosition } from '#manager/log/index.ts';
import type { RaftTuning } from './config.ts';
import { sameConfState } from './members-book.ts';

/** How many entries outlive the snapshot that covers them; see `RaftTuning`. */
export type EntriesKept = Pick<RaftTuning, 'entriesKept' | 'entriesKeptBytes' | 'entriesHeldBytes'>;

/** What an entry takes in memory besides its data, about: many small ones are not for nothing. */
const ENTRY_OVERHEAD_BYTES = 64;

/**
 * What the node reads of the disk, in memory. Snapshots are without their data, which is in files.
 */
export class RaftStorage extends MemoryStorage {
  readonly #confState: () => ConfState;
  readonly #wanted: () => void;

  /** `wanted` is called when a snapshot as of now is needed for a follower. */
  constructor(confState: () => ConfState, wanted: () => void) {
    super();
    this.#confState = confState;
    this.#wanted = wanted;
  }

  load(snapshot: LogPosition, confState: ConfState, hardState: HardState, entries: readonly Entry[]): void {
    if (snapshot.index > 0)
      this.applySnapshot({ index: snapshot.index, term: snapshot.term, confState, data: NO_DATA });
    this.setHardState(hardState);
    this.append(entries);
  }

  /** The newest one, unless it was taken before the present members: it would not include those that came since. */
  override snapshot(): Snapshot | 'unavailable' {
    const newest = super.snapshot();
    if (newest !== 'unavailable' && newest.index > 0 && sameConfState(newest.confState, this.#confState()))
      return newest;
    this.#wanted();
    return 'unavailable';
  }

  /**
   * Forgets entries that the newest snapshot covers, but for the last ones, which a slow follower may need; and for
   * those from the lowest index of `neededFrom` (lowest first) from which all are still there and fit `heldBytes`.
   */
  forget(snapshotIndex: number, kept: EntriesKept, neededFrom: readonly number[] = []): void {
    const from = this.#keptFrom(snapshotIndex, kept.entriesKept, kept.entriesKeptBytes);
    const held = neededFrom.find(
      (index) => index >= this.firstIndex() && this.#bytesBetween(index, from) <= kept.entriesHeldBytes,
    );
    this.compact(Math.min(from, held ?? from) - 1);
  }

  #keptFrom(snapshotIndex: number, entriesKept: number, bytesKept: number): number {
    let from = snapshotIndex + 1;
    let bytes = 0;
    const lowest = Math.max(this.firstIndex(), snapshotIndex + 1 - entriesKept);
    while (from > lowest) {
      const entry = this.entries(from - 1, from, Infinity);
      if (typeof entry === 'string') break;
      bytes += entry[0]?.data.length ?? 0;
      if (bytes > bytesKept) break;
      from--;
    }
    return from;
  }

  /** Of the entries from the first index on, the last one not included. */
  #bytesBetween(first: number, end: number): number {
    if (first >= end) return 0;
    const entries = this.entries(first, end, Infinity);
    if (typeof entries === 'string') return Infinity;
    let bytes = 0;
    for (const { data } of entries) bytes += data.length + ENTRY_OVERHEAD_BYTES;
    return bytes;
  }
}
