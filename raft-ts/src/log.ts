import { violated } from './errors.ts';
import type { Logger } from './logger.ts';
import { entriesSize, limitSize } from './sizes.ts';
import type { Gap, Storage } from './storage.ts';
import type { Entry, EntryId, Snapshot } from './types.ts';
import { Unstable } from './unstable.ts';

/** The log of one node: stable storage, and behind it the unstable tail. */
export class RaftLog {
  readonly #storage: Storage;
  readonly #logger: Logger;
  readonly unstable: Unstable;
  /** The highest index known to be stored by a quorum. Invariant: applied <= applying <= committed <= lastIndex. */
  committed: number;
  /** The highest index handed to the application. */
  applying: number;
  /** The highest index the application has reported applied. */
  applied: number;
  /** The bytes handed out for applying are kept under this: pagination of committed entries. */
  readonly maxApplyingBytes: number;
  #applyingBytes = 0;
  /** No more is handed out until some of it is reported applied. */
  #applyingPaused = false;

  constructor(storage: Storage, logger: Logger, maxApplyingBytes: number) {
    this.#storage = storage;
    this.#logger = logger;
    this.maxApplyingBytes = maxApplyingBytes;
    this.unstable = new Unstable(storage.lastIndex() + 1, logger);
    this.committed = storage.firstIndex() - 1;
    this.applying = this.committed;
    this.applied = this.committed;
  }

  firstIndex(): number {
    return this.unstable.firstIndex() ?? this.#storage.firstIndex();
  }

  lastIndex(): number {
    return this.unstable.lastIndex() ?? this.#storage.lastIndex();
  }

  lastEntryId(): EntryId {
    const index = this.lastIndex();
    const term = this.term(index);
    if (typeof term !== 'number') violated(`unexpected gap when getting the last term (${term})`);
    return { index, term };
  }

  term(index: number): number | Gap {
    const unstable = this.unstable.term(index);
    if (unstable !== undefined) return unstable;
    if (index + 1 < this.firstIndex()) return 'compacted';
    if (index > this.lastIndex()) return 'unavailable';
    return this.#storage.term(index);
  }

  /** The term of an entry, or zero, which no entry has, if it is not here. */
  termOrZero(index: number): number {
    const term = this.term(index);
    return typeof term === 'number' ? term : 0;
  }

  matches(id: EntryId): boolean {
    return this.term(id.index) === id.term;
  }

  /** Whether a log that ends so is at least as complete as this one (the election restriction, paper 5.4.1). */
  isUpToDate(candidate: EntryId): boolean {
    const last = this.lastEntryId();
    return candidate.term > last.term || (candidate.term === last.term && candidate.index >= last.index);
  }

  /**
   * Takes a leader's entries that follow `previous`. Undefined if `previous` is not in this log; else the index of the
   * last entry that is now known to agree with the leader's log.
   */
  maybeAppend(previous: EntryId, entries: readonly Entry[], committed: number): number | undefined {
    if (!this.matches(previous)) return undefined;
    const last = previous.index + entries.length;
    const conflict = this.#findConflict(entries);
    if (conflict !== undefined) {
      if (conflict <= this.committed)
        violated(`entry ${conflict} conflict with committed entry [committed(${this.committed})]`);
      this.append(entries.slice(conflict - previous.index - 1));
    }
    this.commitTo(Math.min(committed, last));
    return last;
  }

  append(entries: readonly Entry[]): number {
    const first = entries[0];
    if (first !== undefined) {
      if (first.index - 1 < this.committed)
        violated(`after(${first.index - 1}) is out of range [committed(${this.committed})]`);
      this.unstable.truncateAndAppend(entries);
    }
    return this.lastIndex();
  }

  /** The first index at which this log has another entry than given, or none. */
  #findConflict(entries: readonly Entry[]): number | undefined {
    for (const entry of entries) {
      if (this.matches(entry)) continue;
      if (entry.index <= this.lastIndex())
        this.#logger.info(
          `found conflict at index ${entry.index} [existing term: ${this.termOrZero(entry.index)}, conflicting term: ${entry.term}]`,
        );
      return entry.index;
    }
    return undefined;
  }

  /**
   * Best guess where this log ends agreeing with one of which a single entry is known: the highest index up to `index`
   * whose term is at most `term`, with that term; term zero where ours is not known.
   */
  findConflictByTerm(index: number, term: number): EntryId {
    for (let at = index; at > 0; at--) {
      const ours = this.term(at);
      if (typeof ours !== 'number') return { index: at, term: 0 };
      if (ours <= term) return { index: at, term: ours };
    }
    return { index: 0, term: 0 };
  }

  commitTo(index: number): void {
    if (index <= this.committed) return;
    if (index > this.lastIndex())
      violated(
        `tocommit(${index}) is out of range [lastIndex(${this.lastIndex()})]. Was the raft log corrupted, truncated, or lost?`,
      );
    this.committed = index;
  }

  /** Commits up to `id` if the entry there is of that term: a leader counts replicas for its own term only (5.4.2). */
  maybeCommit(id: EntryId): boolean {
    if (id.index <= this.committed || id.term === 0 || this.termOrZero(id.index) !== id.term) return false;
    this.commitTo(id.index);
    return true;
  }

  entries(from: number, maxBytes: number): readonly Entry[] | Gap {
    return from > this.lastIndex() ? [] : this.slice(from, this.lastIndex() + 1, maxBytes);
  }

  slice(low: number, high: number, maxBytes: number): readonly Entry[] | Gap {
    if (low < this.firstIndex()) return 'compacted';
    if (high > this.lastIndex() + 1) violated(`slice[${low},${high}) out of bound [,${this.lastIndex()}]`);
    const offset = this.unstable.offset;
    if (low >= high) return [];
    if (low >= offset) return limitSize(this.unstable.slice(low, high), maxBytes);
    const end = Math.min(high, offset);
    const stored = this.#storage.entries(low, end, maxBytes);
    if (stored === 'unavailable') violated(`entries[${low}:${end}) is unavailable from storage`);
    if (stored === 'compacted' || high <= offset || stored.length < end - low) return stored;
    return limitSize(stored.concat(this.unstable.slice(offset, high)), maxBytes);
  }

  snapshot(): Snapshot | 'unavailable' {
    return this.unstable.snapshot ?? this.#storage.snapshot();
  }

  /** A snapshot waits to be stored or is being stored. */
  hasSnapshot(): boolean {
    return this.unstable.snapshot !== undefined;
  }

  restore(snapshot: Snapshot): void {
    this.#logger.info(
      `log [${this.describe()}] starts to restore snapshot [index: ${snapshot.index}, term: ${snapshot.term}]`,
    );
    this.committed = snapshot.index;
    this.unstable.restore(snapshot);
  }

  /** The committed entries to apply next. Without `allowUnstable` only those known to be on this node's storage. */
  nextCommitted(allowUnstable: boolean): readonly Entry[] {
    if (!this.hasNextCommitted(allowUnstable)) return [];
    const entries = this.slice(
      this.applying + 1,
      this.#maxAppliable(allowUnstable) + 1,
      this.maxApplyingBytes - this.#applyingBytes,
    );
    if (typeof entries === 'string') violated(`unexpected gap when getting unapplied entries (${entries})`);
    return entries;
  }

  hasNextCommitted(allowUnstable: boolean): boolean {
    // A snapshot comes first: nothing is applied on top of a state that is about to be replaced.
    if (this.#applyingPaused || this.hasSnapshot()) return false;
    return this.applying < this.#maxAppliable(allowUnstable);
  }

  #maxAppliable(allowUnstable: boolean): number {
    return allowUnstable ? this.committed : Math.min(this.committed, this.unstable.offset - 1);
  }

  /** These entries have been handed to the application. */
  acceptApplying(entries: readonly Entry[], allowUnstable: boolean): void {
    const last = entries.at(-1);
    if (last === undefined) return;
    if (last.index > this.committed)
      violated(
        `applying(${last.index}) is out of range [prevApplying(${this.applying}), committed(${this.committed})]`,
      );
    this.applying = last.index;
    this.#applyingBytes += entriesSize(entries);
    // Also paused when the limit cut this batch short: the next entry does not fit beside it.
    this.#applyingPaused =
      this.#applyingBytes >= this.maxApplyingBytes || last.index < this.#maxAppliable(allowUnstable);
  }

  appliedTo(index: number, bytes: number): void {
    if (index > this.committed || index < this.applied)
      violated(`applied(${index}) is out of range [prevApplied(${this.applied}), committed(${this.committed})]`);
    this.applied = index;
    this.applying = Math.max(this.applying, index);
    this.#applyingBytes = Math.max(0, this.#applyingBytes - bytes);
    this.#applyingPaused = this.#applyingBytes >= this.maxApplyingBytes;
  }

  describe(): string {
    const { offset, offsetInProgress, entries } = this.unstable;
    return `committed=${this.committed}, applied=${this.applied}, applying=${this.applying}, unstable.offset=${offset}, unstable.offsetInProgress=${offsetInProgress}, len(unstable.Entries)=${entries.length}`;
  }
}
