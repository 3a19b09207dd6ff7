import { join } from 'node:path';
import type { Logger } from '#common/log.ts';
import type { Disk, DiskFile } from '../disk/disk.ts';
import type { DataKeys } from '../sealing.ts';
import { lastIndexAfter, PAGE_BYTES, type WalRecord } from './frame.ts';
import { corruptLog, type ParsedSegmentHeader, parseSegmentHeader, segmentNumber } from './segment-header.ts';
import { scanSegment } from './segment-scan.ts';
import { WindowReader } from './window-reader.ts';

export interface RecoveryOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly keys: DataKeys;
  readonly logger: Logger;
}

/** A segment that is not written to any more. */
export interface ClosedSegment {
  readonly name: string;
  readonly firstIndex: number;
  readonly bytes: number;
  /** Of the data key that it is sealed with. */
  readonly keyName: string;
}

/** What the directory held, and what the next segment must continue. */
export interface RecoveredSegments {
  /** undefined when there was no segment. */
  readonly logId: Uint8Array | undefined;
  readonly segments: readonly ClosedSegment[];
  readonly nextNumber: number;
  readonly nextSequence: number;
  readonly lastChecksum: number;
  /** Index of the last entry; 0 when there never was one. */
  readonly lastIndex: number;
}

interface Found {
  readonly name: string;
  readonly number: number;
}

/**
 * Reads all segments in order, handing every record on, and leaves the directory so that a new segment can follow:
 * unfinished files are removed, a torn tail is cut, and the cut is durable. Frames are never appended to a segment of
 * an earlier run. Throws `corrupt-log` when the damage is none that a crash can do.
 */
export async function recoverSegments(
  options: RecoveryOptions,
  visit: (record: WalRecord) => void,
): Promise<RecoveredSegments> {
  const found = await findSegments(options);
  let state: RecoveredSegments = {
    logId: undefined,
    segments: [],
    nextNumber: 1,
    nextSequence: 1,
    lastChecksum: 0,
    lastIndex: 0,
  };
  for (const segment of found) state = await recoverSegment(options, segment, segment === found.at(-1), state, visit);
  return state;
}

/** The segments by number, after checking that none is missing between them. Removes unfinished files. */
async function findSegments({ disk, directory }: RecoveryOptions): Promise<readonly Found[]> {
  const found: Found[] = [];
  for (const name of await disk.list(directory)) {
    const number = segmentNumber(name);
    if (number !== undefined) found.push({ name, number });
    else if (name.endsWith('.wal.tmp')) await disk.remove(join(directory, name));
  }
  found.sort((left, right) => left.number - right.number);
  found.forEach(({ name, number }, position) => {
    const before = found[position - 1];
    if (before !== undefined && number !== before.number + 1)
      throw corruptLog(join(directory, name), 0, `the segment before it is missing (found ${before.name})`);
  });
  return found;
}

async function recoverSegment(
  options: RecoveryOptions,
  { name, number }: Found,
  isLast: boolean,
  state: RecoveredSegments,
  visit: (record: WalRecord) => void,
): Promise<RecoveredSegments> {
  const path = join(options.directory, name);
  const file = await options.disk.open(path, isLast ? 'write' : 'read');
  try {
    const reader = new WindowReader(file);
    const header = parseSegmentHeader(await reader.at(0, PAGE_BYTES), path, options.keys);
    checkHeader(path, number, header, state);
    let lastIndex = header.firstIndex - 1;
    const end = await scanSegment(reader, path, header, (records) => {
      for (const record of records) {
        lastIndex = lastIndexAfter(record, lastIndex);
        visit(record);
      }
    });
    if (end.torn && !isLast) throw corruptLog(path, end.next.offset, 'frames are missing, and another segment follows');
    const empty = end.next.offset === PAGE_BYTES;
    if (isLast) await cutTail(options, file, path, end.next.offset, end.torn);
    return {
      logId: header.logId,
      // An empty last segment is forgotten: the next one takes its number, and its file's place.
      segments:
        isLast && empty
          ? state.segments
          : [
              ...state.segments,
              { name, firstIndex: header.firstIndex, bytes: end.next.offset, keyName: header.keyName },
            ],
      nextNumber: isLast && empty ? number : number + 1,
      nextSequence: end.next.sequence,
      lastChecksum: empty ? header.previousChecksum : end.next.previousChecksum,
      lastIndex,
    };
  } finally {
    await file.close();
  }
}

function checkHeader(path: string, number: number, header: ParsedSegmentHeader, state: RecoveredSegments): void {
  if (header.number !== number) throw corruptLog(path, 0, `it is segment ${header.number} under another's name`);
  if (state.logId === undefined) return;
  if (Buffer.compare(header.logId, state.logId) !== 0) throw corruptLog(path, 0, 'it belongs to another log');
  if (header.firstSequence !== state.nextSequence || header.previousChecksum !== state.lastChecksum)
    throw corruptLog(path, 0, `it begins at frame ${header.firstSequence}, but frame ${state.nextSequence} is missing`);
}

/** Takes away what was allocated ahead, and what a crash left of an unfinished flush. */
async function cutTail(
  { logger }: RecoveryOptions,
  file: DiskFile,
  path: string,
  end: number,
  torn: boolean,
): Promise<void> {
  if (torn)
    logger.warn('cut an unfinished flush off the log; nothing acknowledged was in it', { file: path, offset: end });
  await file.truncate(end);
  await file.sync();
}
