import { randomFillSync } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { SwarmError } from '#common/errors.ts';
import { type DataKeys, findKey, KEY_ID_BYTES, keyId, keyName, SALT_BYTES, Sealer } from '../sealing.ts';
import { asBuffer, readU64, writeU64 } from './binary.ts';
import { PAGE_BYTES } from './frame.ts';

/**
 * A segment begins with a page of its own:
 *
 *      0  8 bytes  magic "STARLWAL"
 *      8  u16      version of the format
 *     10  u16      how bodies are sealed: 1 is AES-256-GCM
 *     12  u32      page size
 *     16  u64      number of the segment: 1, 2, 3, ...
 *     24  u64      sequence of its first frame
 *     32  u64      the lowest index that an entry in it or behind it has when nothing is overwritten
 *     40  16 bytes id of the log: the same in all its segments and snapshots
 *     56  32 bytes salt
 *     88  8 bytes  name of the data key
 *     96  u32      checksum of the last frame before: the chain through the segments; 0 in the oldest ever
 *    100  u32      checksum of bytes 0 to 99
 *
 * The page is durable under its final name before the first frame is written, so one that is damaged is corruption.
 */
export const WAL_FORMAT = 1;
export const LOG_ID_BYTES = 16;
const MAGIC = Buffer.from('STARLWAL', 'latin1');
const SEAL_AES_256_GCM = 1;
const SALT_OFFSET = 56;
const KEY_ID_OFFSET = SALT_OFFSET + SALT_BYTES;
const CHECKSUM_OFFSET = 100;
const NAME = /^(\d{16})\.wal$/;

export interface SegmentHeader {
  readonly number: number;
  readonly firstSequence: number;
  readonly firstIndex: number;
  readonly logId: Uint8Array;
  readonly previousChecksum: number;
}

export interface EncodedSegmentHeader {
  readonly page: Buffer;
  readonly checksum: number;
  /** Name of the data key that the segment is sealed with. */
  readonly keyName: string;
  readonly sealer: Sealer;
}

export interface ParsedSegmentHeader extends SegmentHeader {
  readonly checksum: number;
  readonly keyName: string;
  readonly sealer: Sealer;
}

export function segmentName(number: number): string {
  return `${String(number).padStart(16, '0')}.wal`;
}

/** The number in a segment's file name; undefined for any other file. */
export function segmentNumber(name: string): number | undefined {
  const match = NAME.exec(name);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

/** A new segment's first page, with a fresh salt. */
export function encodeSegmentHeader(header: SegmentHeader, keys: DataKeys): EncodedSegmentHeader {
  const page = Buffer.alloc(PAGE_BYTES);
  MAGIC.copy(page);
  page.writeUInt16LE(WAL_FORMAT, 8);
  page.writeUInt16LE(SEAL_AES_256_GCM, 10);
  page.writeUInt32LE(PAGE_BYTES, 12);
  writeU64(page, header.number, 16);
  writeU64(page, header.firstSequence, 24);
  writeU64(page, header.firstIndex, 32);
  page.set(header.logId, 40);
  randomFillSync(page, SALT_OFFSET, SALT_BYTES);
  page.set(keyId(keys.current), KEY_ID_OFFSET);
  page.writeUInt32LE(header.previousChecksum, 96);
  const checksum = crc32(page.subarray(0, CHECKSUM_OFFSET));
  page.writeUInt32LE(checksum, CHECKSUM_OFFSET);
  return { page, checksum, keyName: keyName(keys.current), sealer: sealerOf(page, keys.current) };
}

/** Throws a SwarmError that names the file when the header is damaged, of a newer format, or of another key. */
export function parseSegmentHeader(bytes: Uint8Array, file: string, keys: DataKeys): ParsedSegmentHeader {
  const page = asBuffer(bytes);
  const whole =
    page.length >= PAGE_BYTES &&
    page.subarray(0, MAGIC.length).equals(MAGIC) &&
    crc32(page.subarray(0, CHECKSUM_OFFSET)) === page.readUInt32LE(CHECKSUM_OFFSET);
  if (!whole) throw corruptLog(file, 0, 'its header is damaged');
  const format = page.readUInt16LE(8);
  if (format !== WAL_FORMAT || page.readUInt16LE(10) !== SEAL_AES_256_GCM || page.readUInt32LE(12) !== PAGE_BYTES)
    throw newerFormat(file, format, WAL_FORMAT);
  const dataKey = findKey(keys, page.subarray(KEY_ID_OFFSET, KEY_ID_OFFSET + KEY_ID_BYTES), file);
  return {
    number: readU64(page, 16),
    firstSequence: readU64(page, 24),
    firstIndex: readU64(page, 32),
    logId: Uint8Array.prototype.slice.call(page, 40, 40 + LOG_ID_BYTES),
    previousChecksum: page.readUInt32LE(96),
    checksum: page.readUInt32LE(CHECKSUM_OFFSET),
    keyName: keyName(dataKey),
    sealer: sealerOf(page, dataKey),
  };
}

function sealerOf(page: Buffer, dataKey: Uint8Array): Sealer {
  const salt = page.subarray(SALT_OFFSET, SALT_OFFSET + SALT_BYTES);
  return new Sealer(dataKey, salt, page.subarray(0, CHECKSUM_OFFSET));
}

/** Damage that no crash explains. Starting would lose or invent acknowledged changes. */
export function corruptLog(file: string, offset: number, what: string): SwarmError {
  return new SwarmError({
    code: 'data-loss',
    reason: 'corrupt-log',
    message: `the manager's log is damaged in ${file} at offset ${offset}: ${what}`,
    hint:
      'check the disk; restore the state directory from a backup, or, when other managers run, remove this node from the ' +
      'swarm and let it join again with an empty state directory',
  });
}

export function newerFormat(file: string, found: number, known: number): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'feature-level',
    message: `${file} has format ${found}, this release reads format ${known}`,
    hint: 'run the release that wrote the state directory, or a newer one',
  });
}
