import { EMPTY_HARD_STATE, type Entry, type HardState } from 'raft-ts';
import { SwarmError } from '#common/errors.ts';
import { RaftIdentity } from '#gen/swarm/v1/raft.ts';
import {
  corruptLog,
  type LogPosition,
  RECORD_TYPES,
  type SnapshotFiles,
  snapshotName,
  Wal,
  type WalOptions,
  type WalRecord,
} from '#manager/log/index.ts';
import { entryOf, hardStateOf } from './wal-records.ts';

export interface RecoverOptions extends WalOptions {
  readonly snapshots: SnapshotFiles;
}

export interface Recovered {
  readonly wal: Wal;
  /** Whose log it is; undefined when the directory holds none. */
  readonly identity: RaftIdentity | undefined;
  /** The newest snapshot that the log knows; index 0 when there is none. */
  readonly snapshot: LogPosition;
  /** Invariant: snapshot.index <= commit <= index of the last entry. */
  readonly hardState: HardState;
  /** What comes after the snapshot, without a gap. */
  readonly entries: readonly Entry[];
}

/** Where snapshot files that no log knows may come from: making a new log was interrupted. */
const FIRST_SNAPSHOT: LogPosition = { index: 1, term: 1 };

/**
 * Opens the log and finds what must be restored and applied. Throws `corrupt-log` or `corrupt-state` when what this
 * member acknowledged is not all there.
 */
export async function recoverLog(options: RecoverOptions): Promise<Recovered> {
  const { directory } = options;
  const records = new RecordReader(directory);
  const wal = await Wal.open(options, (record) => records.take(record));
  const { identity, snapshot, entries } = records;
  const first = entries[0];
  if (first !== undefined && first.index !== snapshot.index + 1)
    throw corruptLog(directory, 0, `it begins at entry ${first.index}, but entry ${snapshot.index + 1} is needed`);
  checkTerms(directory, snapshot, entries);
  if (identity === undefined && (snapshot.index > 0 || first !== undefined))
    throw corruptLog(directory, 0, 'it does not say whose log it is');
  // The commit index is written along with something else, so it may be behind what a snapshot proves.
  const hardState = { ...records.hardState, commit: Math.max(records.hardState.commit, snapshot.index) };
  const lastIndex = entries.at(-1)?.index ?? snapshot.index;
  if (hardState.commit > lastIndex)
    throw incomplete(directory, `entry ${hardState.commit} was committed, but the log ends at entry ${lastIndex}`);
  await checkSnapshots(options, identity, snapshot);
  return { wal, identity, snapshot, hardState, entries };
}

/** Terms never go down from one entry to the next: what is void by now was left out. */
function checkTerms(directory: string, snapshot: LogPosition, entries: readonly Entry[]): void {
  let { term } = snapshot;
  for (const entry of entries) {
    if (entry.term < term)
      throw corruptLog(directory, 0, `entry ${entry.index} is of term ${entry.term}, after one of ${term}`);
    term = entry.term;
  }
}

/** Puts together what the records say, one after the other. */
class RecordReader {
  readonly #directory: string;
  identity: RaftIdentity | undefined;
  snapshot: LogPosition = { index: 0, term: 0 };
  hardState: HardState = EMPTY_HARD_STATE;
  /** Invariant: consecutive indexes. While older segments are gone, the first may be below the newest snapshot. */
  entries: Entry[] = [];

  constructor(directory: string) {
    this.#directory = directory;
  }

  take(record: WalRecord): void {
    switch (record.type) {
      case RECORD_TYPES.identity:
        this.#takeIdentity(RaftIdentity.decode(record.body));
        return;
      case RECORD_TYPES.hardState:
        this.#takeHardState(hardStateOf(record));
        return;
      case RECORD_TYPES.entry:
      case RECORD_TYPES.configurationChange:
        this.#takeEntry(entryOf(record));
        return;
      case RECORD_TYPES.snapshotMark:
        if (record.index <= this.snapshot.index) return;
        this.snapshot = { index: record.index, term: record.term };
        this.entries = this.entries.filter((entry) => entry.index > record.index);
        return;
      case RECORD_TYPES.restored:
        // Entries above it are of a leader that lost them: they are void as well.
        this.snapshot = { index: record.index, term: record.term };
        this.entries = [];
        return;
      default:
        throw unknownRecord(this.#directory, record);
    }
  }

  #takeIdentity(identity: RaftIdentity): void {
    const before = this.identity;
    // A member that has asked to join again before it got anything goes on under its new id.
    const isEmpty = this.snapshot.index === 0 && this.entries.length === 0;
    if (before !== undefined && !isEmpty && (before.raftId !== identity.raftId || before.nodeId !== identity.nodeId))
      throw corruptLog(this.#directory, 0, `it is the log of member ${before.raftId} and of member ${identity.raftId}`);
    this.identity = identity;
  }

  #takeHardState(hardState: HardState): void {
    if (hardState.term < this.hardState.term)
      throw corruptLog(this.#directory, 0, `term ${hardState.term} follows term ${this.hardState.term}`);
    this.hardState = { ...hardState, commit: Math.max(hardState.commit, this.hardState.commit) };
  }

  #takeEntry(entry: Entry): void {
    const first = this.entries[0]?.index ?? entry.index;
    const position = entry.index - first;
    if (position > this.entries.length)
      throw corruptLog(this.#directory, 0, `entry ${entry.index} follows entry ${first + this.entries.length - 1}`);
    // A later leader's entry takes the place of an earlier one's, and of everything behind that.
    this.entries.length = Math.max(0, position);
    this.entries.push(entry);
  }
}

async function checkSnapshots(
  { directory, snapshots }: RecoverOptions,
  identity: RaftIdentity | undefined,
  snapshot: LogPosition,
): Promise<void> {
  const present = await snapshots.list();
  const isThere = (wanted: LogPosition): boolean =>
    present.some((position) => position.index === wanted.index && position.term === wanted.term);
  if (snapshot.index > 0 && !isThere(snapshot))
    throw incomplete(directory, `the snapshot ${snapshotName(snapshot)} is missing, and the log before it is gone`);
  if (identity === undefined && present.some(({ index }) => index > FIRST_SNAPSHOT.index))
    throw incomplete(directory, 'there are snapshots, but no log');
}

/** The state directory lacks what this member once acknowledged. */
export function incomplete(directory: string, what: string): SwarmError {
  return new SwarmError({
    code: 'data-loss',
    reason: 'corrupt-state',
    message: `${directory} is incomplete: ${what}`,
    hint:
      'restore the state directory from a backup of the moment it was last used; or, when other managers run, remove this ' +
      'node from the swarm (`swarm node demote`, `swarm node rm`) and let it join again with an empty state directory',
  });
}

function unknownRecord(directory: string, record: WalRecord): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'feature-level',
    message: `the log in ${directory} holds a record of type ${record.type} at index ${record.index}, which this release does not know`,
    hint: 'run the release that wrote the state directory, or a newer one',
  });
}
