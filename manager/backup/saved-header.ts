import { randomFillSync } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { SwarmError } from '#common/errors.ts';
import { SnapshotDescription } from '#gen/swarm/v1/snapshot.ts';
import { type ChunkSeal, type ForwardReader, KEY_ID_BYTES, keyId, SALT_BYTES, Sealer } from '#manager/log/index.ts';

/**
 * A saved snapshot begins with:
 *
 *      0  8 bytes  magic "STARSAVE"
 *      8  u16      version of the format
 *     10  u16      how bodies are sealed: 1 is AES-256-GCM
 *     12  u32      length of the description
 *     16  32 bytes salt
 *     48  8 bytes  name of the snapshot key
 *     56           the description (SnapshotDescription), readable without the key
 *      .  u32      checksum of everything before
 *
 * and goes on with sealed chunks as a snapshot of the log does: first the contents (SnapshotContents), then the state.
 * All of the header goes into the seals' key: with a changed description nothing opens.
 */
export const SAVED_FORMAT = 1;
const MAGIC = Buffer.from('STARSAVE', 'latin1');
const SEAL_AES_256_GCM = 1;
const SALT_OFFSET = 16;
const KEY_ID_OFFSET = SALT_OFFSET + SALT_BYTES;
const DESCRIPTION_OFFSET = KEY_ID_OFFSET + KEY_ID_BYTES;
const CHECKSUM_BYTES = 4;
/** Names of clusters are short; anything above is damage. */
const DESCRIPTION_BYTES_MAX = 64 * 1024;

export interface SavedHeader {
  readonly description: SnapshotDescription;
  /** Names the key that opens the file, hexadecimal. */
  readonly keyName: string;
  /** Where the chunks begin. */
  readonly bytes: number;
  /** @throws SwarmError `wrong-key` for another key than the file was sealed with. */
  seal(key: Uint8Array): ChunkSeal;
}

/** How a key is named in files and messages. */
export function keyName(key: Uint8Array): string {
  return Buffer.from(keyId(key)).toString('hex');
}

export function encodeSavedHeader(
  description: SnapshotDescription,
  key: Uint8Array,
): { readonly bytes: Uint8Array; readonly seal: ChunkSeal } {
  const body = SnapshotDescription.encode(description);
  const end = DESCRIPTION_OFFSET + body.length;
  const bytes = Buffer.alloc(end + CHECKSUM_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt16LE(SAVED_FORMAT, 8);
  bytes.writeUInt16LE(SEAL_AES_256_GCM, 10);
  bytes.writeUInt32LE(body.length, 12);
  randomFillSync(bytes, SALT_OFFSET, SALT_BYTES);
  bytes.set(keyId(key), KEY_ID_OFFSET);
  bytes.set(body, DESCRIPTION_OFFSET);
  const checksum = crc32(bytes.subarray(0, end));
  bytes.writeUInt32LE(checksum, end);
  return { bytes, seal: sealOf(bytes.subarray(0, end), key, checksum) };
}

/** @throws SwarmError that names the file, for anything but a whole header of this format. */
export async function readSavedHeader(reader: ForwardReader, file: string): Promise<SavedHeader> {
  const fixed = Buffer.from(await reader.at(0, DESCRIPTION_OFFSET));
  refuseForeign(fixed, file);
  if (fixed.length < DESCRIPTION_OFFSET) throw damagedSave(file, 0, 'it ends inside its header');
  const format = fixed.readUInt16LE(8);
  if (format !== SAVED_FORMAT || fixed.readUInt16LE(10) !== SEAL_AES_256_GCM) throw newerSave(file, format);
  const length = fixed.readUInt32LE(12);
  if (length > DESCRIPTION_BYTES_MAX) throw damagedSave(file, 12, 'its description is too long');
  const rest = Buffer.from(await reader.at(DESCRIPTION_OFFSET, length + CHECKSUM_BYTES));
  if (rest.length < length + CHECKSUM_BYTES) throw damagedSave(file, 0, 'it ends inside its header');
  const header = Buffer.concat([fixed, rest.subarray(0, length)]);
  const checksum = crc32(header);
  if (checksum !== rest.readUInt32LE(length)) throw damagedSave(file, 0, 'the checksum of its header differs');
  const name = header.subarray(KEY_ID_OFFSET, DESCRIPTION_OFFSET).toString('hex');
  return {
    description: decodeDescription(header.subarray(DESCRIPTION_OFFSET), file),
    keyName: name,
    bytes: DESCRIPTION_OFFSET + length + CHECKSUM_BYTES,
    seal(key) {
      if (keyName(key) !== name) throw wrongKey(file, name, keyName(key));
      return sealOf(header, key, checksum);
    },
  };
}

function sealOf(header: Uint8Array, key: Uint8Array, checksum: number): ChunkSeal {
  const salt = header.subarray(SALT_OFFSET, SALT_OFFSET + SALT_BYTES);
  return { sealer: new Sealer(key, salt, header), checksum };
}

function decodeDescription(bytes: Uint8Array, file: string): SnapshotDescription {
  try {
    return SnapshotDescription.decode(bytes);
  } catch {
    throw damagedSave(file, DESCRIPTION_OFFSET, 'its description cannot be read');
  }
}

/** What other files of ours begin with, for those who mistake one for the other. */
const OTHERS: readonly (readonly [magic: string, what: string])[] = [
  ['STARSNAP', "a snapshot of one manager's log, sealed with that manager's own key"],
  ['STARLWAL', "a segment of one manager's log"],
];

function refuseForeign(head: Buffer, file: string): void {
  const magic = head.subarray(0, MAGIC.length);
  if (magic.equals(MAGIC)) return;
  // The front of the right magic: the file is ours and was cut.
  if (magic.length < MAGIC.length && MAGIC.subarray(0, magic.length).equals(magic) && magic.length > 0)
    throw damagedSave(file, 0, 'it ends inside its header');
  const other = OTHERS.find(([text]) => magic.equals(Buffer.from(text, 'latin1')))?.[1];
  const what = head.length === 0 ? 'is empty' : other === undefined ? 'does not begin as one' : `is ${other}`;
  throw new SwarmError({
    code: 'invalid',
    reason: 'bad-field',
    message: `${file} is no saved snapshot: it ${what}`,
    hint: 'give a file that `swarm snapshot save` wrote, or one of <state-dir>/snapshots of a manager',
  });
}

export function damagedSave(file: string, offset: number, what: string): SwarmError {
  return new SwarmError({
    code: 'data-loss',
    reason: 'corrupt-state',
    message: `the saved snapshot ${file} is damaged at offset ${offset}: ${what}`,
    hint: 'use another one: `swarm snapshot inspect FILE --key KEY` tells whether it is whole',
  });
}

export function newerSave(file: string, format: number): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'feature-level',
    message: `the saved snapshot ${file} has format ${format}, this release reads format ${SAVED_FORMAT}`,
    hint: 'use the release that saved it, or a newer one',
  });
}

function wrongKey(file: string, needed: string, given: string): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'wrong-key',
    field: '--key',
    message: `the saved snapshot ${file} was sealed with the key ${needed}, not with the one that was given (${given})`,
    hint: 'give the key of the swarm that it was saved from: `swarm snapshot key` printed it there',
  });
}
