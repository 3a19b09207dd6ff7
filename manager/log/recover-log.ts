import { SwarmError } from '#common/errors.ts';
import type { LogPosition } from './log.ts';
import type { SnapshotFiles } from './snapshot/snapshot-files.ts';
import { snapshotName } from './snapshot/snapshot-header.ts';
import { RECORD_TYPES, type WalRecord } from './wal/frame.ts';
import type { RecoveryOptions } from './wal/recovery.ts';
import { corruptLog, WAL_FORMAT } from './wal/segment-header.ts';
import { Wal, type WalOptions } from './wal/wal.ts';

export interface RecoverLogOptions extends RecoveryOptions {
  readonly snapshots: SnapshotFiles;
  readonly wal: Omit<WalOptions, keyof RecoveryOptions>;
}

export interface RecoveredLog {
  readonly wal: Wal;
  /** The newest snapshot that the log knows; index 0 when there is none. */
  readonly snapshot: LogPosition;
  /** What comes after it, without a gap. */
  readonly entries: readonly WalRecord[];
}

/**
 * Opens the log of a single member and finds what must be restored and applied. Throws `corrupt-log` or
 * `corrupt-state` when what was acknowledged is not all there.
 */
export async function recoverLog(options: RecoverLogOptions): Promise<RecoveredLog> {
  const { directory, snapshots } = options;
  let snapshot: LogPosition = { index: 0, term: 0 };
  let entries: WalRecord[] = [];
  const wal = await Wal.open({ ...options, ...options.wal }, (record) => {
    switch (record.type) {
      case RECORD_TYPES.entry:
        checkFollows(directory, entries.at(-1), record);
        entries.push(record);
        return;
      case RECORD_TYPES.snapshotMark:
        if (record.index <= snapshot.index) return;
        snapshot = { index: record.index, term: record.term };
        entries = entries.filter((entry) => entry.index > record.index);
        return;
      case RECORD_TYPES.hardState:
      case RECORD_TYPES.identity:
      case RECORD_TYPES.configurationChange:
      case RECORD_TYPES.restored:
      default:
        // A log of several members needs to know them; a newer release may write what this one cannot read.
        throw unknownRecord(directory, record);
    }
  });
  const first = entries[0];
  if (first !== undefined && first.index !== snapshot.index + 1)
    throw corruptLog(directory, 0, `it begins at entry ${first.index}, but entry ${snapshot.index + 1} is needed`);
  await checkSnapshots(directory, snapshots, snapshot, wal);
  return { wal, snapshot, entries };
}

function checkFollows(directory: string, before: WalRecord | undefined, record: WalRecord): void {
  if (before !== undefined && record.index !== before.index + 1)
    throw corruptLog(directory, 0, `entry ${record.index} follows entry ${before.index}`);
}

async function checkSnapshots(directory: string, files: SnapshotFiles, snapshot: LogPosition, wal: Wal): Promise<void> {
  const present = await files.list();
  if (snapshot.index > 0) {
    if (present.some((position) => position.index === snapshot.index && position.term === snapshot.term)) return;
    throw missing(directory, `the snapshot ${snapshotName(snapshot)} is missing, and the log before it is gone`);
  }
  // A snapshot whose mark was not written yet stands beside a log with entries; without any, the log was lost.
  if (present.length > 0 && wal.lastIndex === 0) throw missing(directory, 'there are snapshots, but no log');
}

function missing(directory: string, what: string): SwarmError {
  return new SwarmError({
    code: 'data-loss',
    reason: 'corrupt-state',
    message: `${directory} is incomplete: ${what}`,
    hint:
      'restore the state directory from a backup, or, when other managers run, remove this node from the swarm and let ' +
      'it join again with an empty state directory',
  });
}

function unknownRecord(directory: string, record: WalRecord): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'feature-level',
    message: `the log in ${directory} holds a record of type ${record.type} at index ${record.index}, which this release does not know (format ${WAL_FORMAT})`,
    hint: 'run the release that wrote the state directory, or a newer one',
  });
}
