import { randomFillSync } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { SwarmError } from '#common/errors.ts';
import type { LogPosition } from '../log.ts';
import { type DataKeys, findKey, KEY_ID_BYTES, keyId, keyName, SALT_BYTES, Sealer } from '../sealing.ts';
import { asBuffer, readU64, writeU64 } from '../wal/binary.ts';
import { LOG_ID_BYTES, newerFormat } from '../wal/segment-header.ts';

/**
 * A snapshot file begins with:
 *
 *      0  8 bytes  magic "STARSNAP"
 *      8  u16      version of the format
 *     10  u16      how bodies are sealed: 1 is AES-256-GCM
 *     12  u32      zero
 *     16  u64      index of the last entry it includes
 *     24  u64      that entry's term
 *     32  16 bytes id of the log
 *     48  32 bytes salt
 *     80  8 bytes  name of the data key
 *     88  u32      checksum of bytes 0 to 87
 *
 * and goes on with sealed chunks (`sealed-chunks.ts`).
 */
export const SNAPSHOT_FORMAT = 1;
export const SNAPSHOT_HEADER_BYTES = 92;
const MAGIC = Buffer.from('STARSNAP', 'latin1');
const SEAL_AES_256_GCM = 1;
const LOG_ID_OFFSET = 32;
const SALT_OFFSET = 48;
const KEY_ID_OFFSET = SALT_OFFSET + SALT_BYTES;
const CHECKSUM_OFFSET = 88;
const NAME = /^(\d{16})-(\d{16})\.snapshot$/;

export interface SnapshotHeader {
  readonly position: LogPosition;
  readonly logId: Uint8Array;
  readonly checksum: number;
  /** Of the data key that it is sealed with. */
  readonly keyName: string;
  readonly sealer: Sealer;
}

export function snapshotName(position: LogPosition): string {
  return `${String(position.term).padStart(16, '0')}-${String(position.index).padStart(16, '0')}.snapshot`;
}

/** The position in a snapshot's file name; undefined for any other file. */
export function snapshotPosition(name: string): LogPosition | undefined {
  const match = NAME.exec(name);
  return match === null ? undefined : { term: Number(match[1]), index: Number(match[2]) };
}

export function encodeSnapshotHeader(
  position: LogPosition,
  logId: Uint8Array,
  keys: DataKeys,
): { readonly bytes: Buffer; readonly checksum: number; readonly sealer: Sealer } {
  const bytes = Buffer.alloc(SNAPSHOT_HEADER_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt16LE(SNAPSHOT_FORMAT, 8);
  bytes.writeUInt16LE(SEAL_AES_256_GCM, 10);
  writeU64(bytes, position.index, 16);
  writeU64(bytes, position.term, 24);
  bytes.set(logId, LOG_ID_OFFSET);
  randomFillSync(bytes, SALT_OFFSET, SALT_BYTES);
  bytes.set(keyId(keys.current), KEY_ID_OFFSET);
  const checksum = crc32(bytes.subarray(0, CHECKSUM_OFFSET));
  bytes.writeUInt32LE(checksum, CHECKSUM_OFFSET);
  return { bytes, checksum, sealer: sealerOf(bytes, keys.current) };
}

export function parseSnapshotHeader(data: Uint8Array, file: string, keys: DataKeys): SnapshotHeader {
  const bytes = asBuffer(data);
  const whole =
    bytes.length >= SNAPSHOT_HEADER_BYTES &&
    bytes.subarray(0, MAGIC.length).equals(MAGIC) &&
    crc32(bytes.subarray(0, CHECKSUM_OFFSET)) === bytes.readUInt32LE(CHECKSUM_OFFSET);
  if (!whole) throw corruptSnapshot(file, 0, 'its header is damaged');
  const format = bytes.readUInt16LE(8);
  if (format !== SNAPSHOT_FORMAT || bytes.readUInt16LE(10) !== SEAL_AES_256_GCM)
    throw newerFormat(file, format, SNAPSHOT_FORMAT);
  const dataKey = findKey(keys, bytes.subarray(KEY_ID_OFFSET, KEY_ID_OFFSET + KEY_ID_BYTES), file);
  return {
    position: { index: readU64(bytes, 16), term: readU64(bytes, 24) },
    logId: Uint8Array.prototype.slice.call(bytes, LOG_ID_OFFSET, LOG_ID_OFFSET + LOG_ID_BYTES),
    checksum: bytes.readUInt32LE(CHECKSUM_OFFSET),
    keyName: keyName(dataKey),
    sealer: sealerOf(bytes, dataKey),
  };
}

function sealerOf(header: Buffer, dataKey: Uint8Array): Sealer {
  const salt = header.subarray(SALT_OFFSET, SALT_OFFSET + SALT_BYTES);
  return new Sealer(dataKey, salt, header.subarray(0, CHECKSUM_OFFSET));
}

export function corruptSnapshot(file: string, offset: number, what: string): SwarmError {
  return new SwarmError({
    code: 'data-loss',
    reason: 'corrupt-state',
    message: `the snapshot ${file} is damaged at offset ${offset}: ${what}`,
    hint:
      'check the disk; restore the state directory from a backup, or, when other managers run, remove this node from the ' +
      'swarm and let it join again with an empty state directory',
  });
}
