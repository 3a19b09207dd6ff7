import { violated } from './errors.ts';
import type { Logger } from './logger.ts';
import type { Entry, EntryId, Snapshot } from './types.ts';

/**
 * The tail of the log that is not yet known to be on stable storage, and a received snapshot that is not. It may be
 * "in progress": handed out to be written, but not reported back. Entry `i` of the slice has index `offset + i`.
 */
export class Unstable {
  snapshot: Snapshot | undefined = undefined;
  /** Invariant: consecutive indexes from `offset`. Never changed in place once handed out. */
  entries: Entry[] = [];
  /** The first index not known to be stable. */
  offset: number;
  snapshotInProgress = false;
  /** The first index not handed out. Invariant: offset <= offsetInProgress <= offset + entries.length. */
  offsetInProgress: number;
  readonly #logger: Logger;

  constructor(offset: number, logger: Logger) {
    this.offset = offset;
    this.offsetInProgress = offset;
    this.#logger = logger;
  }

  /** The first index in the log, if a snapshot decides it. */
  firstIndex(): number | undefined {
    return this.snapshot === undefined ? undefined : this.snapshot.index + 1;
  }

  lastIndex(): number | undefined {
    if (this.entries.length > 0) return this.offset + this.entries.length - 1;
    return this.snapshot?.index;
  }

  term(index: number): number | undefined {
    if (index < this.offset) return this.snapshot?.index === index ? this.snapshot.term : undefined;
    return this.entries[index - this.offset]?.term;
  }

  nextEntries(): readonly Entry[] {
    const handedOut = this.offsetInProgress - this.offset;
    return handedOut === 0 ? this.entries : this.entries.slice(handedOut);
  }

  hasNextEntries(): boolean {
    return this.offsetInProgress < this.offset + this.entries.length;
  }

  nextSnapshot(): Snapshot | undefined {
    return this.snapshotInProgress ? undefined : this.snapshot;
  }

  /** Everything here has been handed out to be written. */
  acceptInProgress(): void {
    if (this.entries.length > 0) this.offsetInProgress = this.offset + this.entries.length;
    if (this.snapshot !== undefined) this.snapshotInProgress = true;
  }

  /**
   * The entries up to this one are on stable storage, and no write in progress can overwrite them (the caller vouches
   * for that by the term of the write). The term is compared because the entry may have been replaced since.
   */
  stableTo(id: EntryId): void {
    const term = this.term(id.index);
    if (term === undefined) {
      this.#logger.info(`entry at index ${id.index} missing from unstable log; ignoring`);
      return;
    }
    if (id.index < this.offset) {
      this.#logger.info(`entry at index ${id.index} matched unstable snapshot; ignoring`);
      return;
    }
    if (term !== id.term) {
      this.#logger.info(
        `entry at (index,term)=(${id.index},${id.term}) mismatched with entry at (${id.index},${term}) in unstable log; ignoring`,
      );
      return;
    }
    this.entries = this.entries.slice(id.index + 1 - this.offset);
    this.offset = id.index + 1;
    this.offsetInProgress = Math.max(this.offsetInProgress, this.offset);
  }

  stableSnapshotTo(index: number): void {
    if (this.snapshot?.index !== index) return;
    this.snapshot = undefined;
    this.snapshotInProgress = false;
  }

  restore(snapshot: Snapshot): void {
    this.offset = snapshot.index + 1;
    this.offsetInProgress = this.offset;
    this.entries = [];
    this.snapshot = snapshot;
    this.snapshotInProgress = false;
  }

  /** Adds entries, in place of what was at and after the first one's index. */
  truncateAndAppend(entries: readonly Entry[]): void {
    const from = entries[0]?.index ?? violated('appending no entries');
    if (from === this.offset + this.entries.length) {
      this.entries = this.entries.concat(entries);
    } else if (from <= this.offset) {
      this.#logger.info(`replace the unstable entries from index ${from}`);
      this.entries = entries.slice();
      this.offset = from;
      this.offsetInProgress = from;
    } else {
      this.#logger.info(`truncate the unstable entries before index ${from}`);
      this.entries = this.entries.slice(0, from - this.offset).concat(entries);
      // What is being written at and after `from` is void: the replacement has to be written too.
      this.offsetInProgress = Math.min(this.offsetInProgress, from);
    }
  }

  slice(low: number, high: number): readonly Entry[] {
    if (low < this.offset || high > this.offset + this.entries.length || low > high)
      violated(`unstable.slice[${low},${high}) out of bound [${this.offset},${this.offset + this.entries.length}]`);
    return this.entries.slice(low - this.offset, high - this.offset);
  }
}
