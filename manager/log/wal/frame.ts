import { crc32 } from 'node:zlib';
import { assert } from '#common/errors.ts';
import { SEAL_OVERHEAD_BYTES, type Sealer } from '../sealing.ts';
import { asBuffer, readU64, writeU64 } from './binary.ts';

/**
 * A frame is what one flush writes: the records of all who waited, sealed together, padded to whole pages. It is there
 * whole or not at all. Because a frame is written only after the one before it is durable, and never touches a page
 * that another frame uses, a damaged frame with a later one behind it cannot be the work of a crash.
 *
 * Header (little endian), authenticated by the seal up to the header's own checksum:
 *
 *      0  u32  magic
 *      4  u32  bytes of the sealed body
 *      8  u64  sequence: 1, 2, 3, ... through all segments
 *     16  u64  offset of this frame in its segment
 *     24  u32  records in the body
 *     28  u32  checksum of the frame before (of the segment's header for the first): the chain
 *     32  u32  checksum of bytes 0 to 31
 *     36  u32  checksum of the sealed body, seeded with that of the header: the frame's checksum
 *     40  u64  zero
 *
 * The body opens to records: u32 length, u8 type, 3 zero bytes, u64 index, u64 term, then `length` bytes.
 */
export const PAGE_BYTES = 4096;
export const FRAME_HEADER_BYTES = 48;
const FRAME_MAGIC = 0x454d5246; // "FRME"
const AUTHENTICATED_BYTES = 32;
const RECORD_HEADER_BYTES = 24;

/** Kinds of records. A reader that meets another one was not made for this log. */
export const RECORD_TYPES = {
  /** A proposal. Replaces what came before at its index and behind it. */
  entry: 1,
  /** Raft's term (in `term`), commit index (in `index`) and vote (in the body). */
  hardState: 2,
  /** A snapshot of everything up to the index is durable. */
  snapshotMark: 3,
  /** Whose log this is. */
  identity: 4,
  /** An entry that changes who takes part; otherwise like `entry`. */
  configurationChange: 5,
  /** A snapshot that another member sent is durable and takes the place of every record of an entry before this one. */
  restored: 6,
} as const;

export type RecordType = (typeof RECORD_TYPES)[keyof typeof RECORD_TYPES];

export interface WalRecord {
  readonly type: RecordType;
  readonly index: number;
  readonly term: number;
  readonly body: Uint8Array;
}

/** Index of the log's last entry after this record, given that before it. */
export function lastIndexAfter(record: WalRecord, lastIndex: number): number {
  switch (record.type) {
    case RECORD_TYPES.entry:
    case RECORD_TYPES.configurationChange:
    case RECORD_TYPES.restored:
      return record.index;
    case RECORD_TYPES.hardState:
    case RECORD_TYPES.snapshotMark:
    case RECORD_TYPES.identity:
    default:
      return lastIndex;
  }
}

/** Where a frame stands, and what it must be to stand there. */
export interface FramePlace {
  readonly sequence: number;
  readonly offset: number;
  readonly previousChecksum: number;
}

export interface FrameHeader extends FramePlace {
  readonly sealedBytes: number;
  readonly recordCount: number;
  readonly checksum: number;
  readonly bodyChecksum: number;
}

/** Bytes of records inside a frame, before sealing. */
export function recordBytes(record: WalRecord): number {
  return RECORD_HEADER_BYTES + record.body.length;
}

/** Size of a frame on disk, given the sum of its `recordBytes`. */
export function frameSize(plainBytes: number): number {
  return padded(FRAME_HEADER_BYTES + plainBytes + SEAL_OVERHEAD_BYTES);
}

function padded(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

export interface EncodedFrame {
  readonly bytes: Buffer;
  readonly checksum: number;
}

export function encodeFrame(sealer: Sealer, place: FramePlace, records: readonly WalRecord[]): EncodedFrame {
  const plain = encodeRecords(records);
  const bytes = Buffer.allocUnsafe(frameSize(plain.length));
  const end = FRAME_HEADER_BYTES + plain.length + SEAL_OVERHEAD_BYTES;
  bytes.fill(0, 0, FRAME_HEADER_BYTES);
  bytes.fill(0, end);
  bytes.writeUInt32LE(FRAME_MAGIC, 0);
  bytes.writeUInt32LE(plain.length + SEAL_OVERHEAD_BYTES, 4);
  writeU64(bytes, place.sequence, 8);
  writeU64(bytes, place.offset, 16);
  bytes.writeUInt32LE(records.length, 24);
  bytes.writeUInt32LE(place.previousChecksum, 28);
  const authenticated = bytes.subarray(0, AUTHENTICATED_BYTES);
  const headerChecksum = crc32(authenticated);
  bytes.writeUInt32LE(headerChecksum, 32);
  const sealedEnd = sealer.sealInto(bytes, FRAME_HEADER_BYTES, plain, authenticated);
  assert(sealedEnd === end, 'a sealed frame has the size that was planned');
  const checksum = crc32(bytes.subarray(FRAME_HEADER_BYTES, end), headerChecksum);
  bytes.writeUInt32LE(checksum, 36);
  return { bytes, checksum };
}

function encodeRecords(records: readonly WalRecord[]): Buffer {
  let length = 0;
  for (const record of records) length += recordBytes(record);
  const plain = Buffer.allocUnsafe(length);
  let offset = 0;
  for (const record of records) {
    plain.writeUInt32LE(record.body.length, offset);
    plain.writeUInt32LE(record.type, offset + 4);
    writeU64(plain, record.index, offset + 8);
    writeU64(plain, record.term, offset + 16);
    plain.set(record.body, offset + RECORD_HEADER_BYTES);
    offset += RECORD_HEADER_BYTES + record.body.length;
  }
  return plain;
}

/** The header at the beginning of the bytes, if there is an undamaged one. */
export function parseFrameHeader(bytes: Uint8Array): FrameHeader | undefined {
  if (bytes.length < FRAME_HEADER_BYTES) return undefined;
  const buffer = asBuffer(bytes);
  if (buffer.readUInt32LE(0) !== FRAME_MAGIC) return undefined;
  const checksum = buffer.readUInt32LE(32);
  if (crc32(buffer.subarray(0, AUTHENTICATED_BYTES)) !== checksum) return undefined;
  return {
    sealedBytes: buffer.readUInt32LE(4),
    sequence: readU64(buffer, 8),
    offset: readU64(buffer, 16),
    recordCount: buffer.readUInt32LE(24),
    previousChecksum: buffer.readUInt32LE(28),
    checksum,
    bodyChecksum: buffer.readUInt32LE(36),
  };
}

/** Whether the sealed body behind the header is the one that was written. */
export function bodyIsWhole(header: FrameHeader, sealed: Uint8Array): boolean {
  return sealed.length === header.sealedBytes && crc32(sealed, header.checksum) === header.bodyChecksum;
}

/** The records of a whole frame, or undefined when its seal or its shape is broken. */
export function openFrame(sealer: Sealer, frame: Uint8Array, header: FrameHeader): readonly WalRecord[] | undefined {
  const sealed = frame.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + header.sealedBytes);
  const plain = sealer.open(sealed, frame.subarray(0, AUTHENTICATED_BYTES));
  return plain === undefined ? undefined : decodeRecords(asBuffer(plain), header.recordCount);
}

function decodeRecords(plain: Buffer, count: number): readonly WalRecord[] | undefined {
  const records: WalRecord[] = [];
  let offset = 0;
  while (offset + RECORD_HEADER_BYTES <= plain.length) {
    const length = plain.readUInt32LE(offset);
    const end = offset + RECORD_HEADER_BYTES + length;
    if (end > plain.length) return undefined;
    records.push({
      type: plain.readUInt32LE(offset + 4) as RecordType,
      index: readU64(plain, offset + 8),
      term: readU64(plain, offset + 16),
      body: plain.subarray(offset + RECORD_HEADER_BYTES, end),
    });
    offset = end;
  }
  return offset === plain.length && records.length === count ? records : undefined;
}
