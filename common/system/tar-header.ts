/**
 * The 512-byte headers of tar, POSIX and GNU, read the way Go's archive/tar reads them, which is what unpacks images
 * after us. Where two readers could differ in opinion the header is refused: an archive has one meaning or none.
 */
import { SwarmError } from '../errors.ts';

export const TAR_BLOCK_BYTES = 512;
/** Longest path of Linux; no part of it longer than a file name may be. */
const NAME_BYTES_MAX = 4096;
const COMPONENT_BYTES_MAX = 255;

export type TarEntryType = 'file' | 'directory' | 'symlink' | 'hardlink' | 'character-device' | 'block-device' | 'fifo';

export interface TarEntry {
  /** One character per byte (latin1), as file systems keep names. `displayTarName` makes it readable. */
  readonly name: string;
  readonly type: TarEntryType;
  /** Of the content that follows; 0 for everything but files. */
  readonly sizeBytes: number;
  /** Permission bits with set-uid, set-gid and sticky. */
  readonly mode: number;
  readonly userId: number;
  readonly groupId: number;
  readonly modifiedSeconds: number;
  /** Target of a link, one character per byte; empty for others. */
  readonly linkName: string;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** Names of the extended attributes it sets. */
  readonly attributeNames: readonly string[];
}

/** A header as it stands, before long names and extended records are applied. */
export interface RawTarHeader {
  readonly name: string;
  readonly typeFlag: string;
  readonly sizeBytes: number;
  readonly mode: number;
  readonly userId: number;
  readonly groupId: number;
  readonly modifiedSeconds: number;
  readonly linkName: string;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

/** Records of a pax header that mean something to us; the rest is dropped. */
export interface PaxRecords {
  readonly path: string | undefined;
  readonly linkPath: string | undefined;
  readonly sizeBytes: number | undefined;
  readonly modifiedSeconds: number | undefined;
  readonly userId: number | undefined;
  readonly groupId: number | undefined;
  readonly attributeNames: readonly string[];
}

export function badTar(message: string): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'image-invalid',
    message: `invalid tar archive: ${message}`,
    hint: 'make the archive again, and check that it was transferred whole',
  });
}

/** A name for messages: as text, quoted, and not too long. */
export function displayTarName(name: string): string {
  const text = Buffer.from(name, 'latin1').toString('utf8');
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}...` : text);
}

function cString(block: Buffer, start: number, length: number): string {
  const end = block.indexOf(0, start);
  return block.toString('latin1', start, end === -1 || end > start + length ? start + length : end);
}

/** Octal digits between optional spaces and NULs, or, for sizes and ids beyond them, GNU's base 256. */
function numeric(block: Buffer, start: number, length: number, what: string): number {
  const first = block[start] ?? 0;
  if (first >= 0x80) return base256(block, start, length, what);
  const text = block.toString('latin1', start, start + length).replace(/^[ \0]+|[ \0]+$/g, '');
  if (text === '') return 0;
  const value = /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw badTar(`the ${what} of a member is not a number`);
  return value;
}

function base256(block: Buffer, start: number, length: number, what: string): number {
  if (block[start] !== 0x80) throw badTar(`the ${what} of a member is negative or too large`);
  let value = 0;
  for (let index = start + 1; index < start + length; index++) value = value * 256 + (block[index] ?? 0);
  if (!Number.isSafeInteger(value)) throw badTar(`the ${what} of a member is too large`);
  return value;
}

function checkSum(block: Buffer): void {
  let sum = 8 * 0x20;
  for (let index = 0; index < 148; index++) sum += block[index] ?? 0;
  for (let index = 156; index < TAR_BLOCK_BYTES; index++) sum += block[index] ?? 0;
  if (numeric(block, 148, 8, 'checksum') !== sum) throw badTar('the checksum of a header is wrong');
}

type TarFormat = 'v7' | 'posix' | 'gnu';

function formatOf(block: Buffer): TarFormat {
  const magic = block.toString('latin1', 257, 265);
  if (magic === 'ustar  \0') return 'gnu';
  if (!magic.startsWith('ustar\0')) return 'v7';
  if (block.toString('latin1', 508, 512) === 'tar\0') throw badTar('the format of star is not supported');
  return 'posix';
}

/** Modification times before 1970 are taken as 1970: nothing depends on them. */
function modified(block: Buffer): number {
  return (block[136] ?? 0) >= 0x80 && block[136] !== 0x80 ? 0 : numeric(block, 136, 12, 'time');
}

/** @param block exactly 512 bytes, not all of them zero. */
export function parseTarHeader(block: Buffer): RawTarHeader {
  checkSum(block);
  const format = formatOf(block);
  const name = cString(block, 0, 100);
  // In GNU's format the place of the prefix holds other times.
  const prefix = format === 'posix' ? cString(block, 345, 155) : '';
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    typeFlag: String.fromCharCode(block[156] ?? 0),
    sizeBytes: numeric(block, 124, 12, 'size'),
    mode: numeric(block, 100, 8, 'mode') & 0o7777,
    userId: numeric(block, 108, 8, 'owner'),
    groupId: numeric(block, 116, 8, 'group'),
    modifiedSeconds: modified(block),
    linkName: cString(block, 157, 100),
    deviceMajor: format === 'v7' ? 0 : numeric(block, 329, 8, 'device'),
    deviceMinor: format === 'v7' ? 0 : numeric(block, 337, 8, 'device'),
  };
}

const XATTR_PREFIX = 'SCHILY.xattr.';

/** The content of a pax header: records of `length key=value\n`. */
export function parsePaxRecords(content: Buffer): PaxRecords {
  const found = new Map<string, string>();
  const attributeNames: string[] = [];
  let position = 0;
  while (position < content.length) {
    const space = content.indexOf(0x20, position);
    const digits = space === -1 || space - position > 8 ? '' : content.toString('latin1', position, space);
    const end = /^[1-9][0-9]*$/.test(digits) ? position + Number(digits) : 0;
    if (end <= space + 1 || end > content.length || content[end - 1] !== 0x0a)
      throw badTar('an extended header is malformed');
    const record = content.toString('latin1', space + 1, end - 1);
    const equals = record.indexOf('=');
    if (equals < 1) throw badTar('an extended header is malformed');
    const key = record.slice(0, equals);
    if (key.startsWith('GNU.sparse.')) throw badTar('sparse members are not supported');
    if (key.startsWith(XATTR_PREFIX)) attributeNames.push(key.slice(XATTR_PREFIX.length));
    else if (found.has(key)) throw badTar(`an extended header sets ${displayTarName(key)} twice`);
    else found.set(key, record.slice(equals + 1));
    position = end;
  }
  return {
    path: paxText(found, 'path'),
    linkPath: paxText(found, 'linkpath'),
    sizeBytes: paxInteger(found, 'size'),
    modifiedSeconds: paxTime(found),
    userId: paxInteger(found, 'uid'),
    groupId: paxInteger(found, 'gid'),
    attributeNames,
  };
}

function paxText(records: ReadonlyMap<string, string>, key: string): string | undefined {
  const text = records.get(key);
  if (text === '') throw badTar(`an extended header has an empty ${key}`);
  return text;
}

function paxInteger(records: ReadonlyMap<string, string>, key: string): number | undefined {
  const text = records.get(key);
  if (text === undefined) return undefined;
  if (!/^[0-9]{1,15}$/.test(text)) throw badTar(`the ${key} of an extended header is not a number`);
  return Number(text);
}

function paxTime(records: ReadonlyMap<string, string>): number | undefined {
  const text = records.get('mtime');
  if (text === undefined) return undefined;
  if (!/^-?[0-9]{1,12}(?:\.[0-9]*)?$/.test(text)) throw badTar('the mtime of an extended header is not a time');
  return Math.max(0, Number(text));
}

const TYPES: Readonly<Record<string, TarEntryType>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character-device',
  '4': 'block-device',
  '5': 'directory',
  '6': 'fifo',
};

function entryType(header: RawTarHeader, name: string): TarEntryType {
  const type = Object.hasOwn(TYPES, header.typeFlag) ? TYPES[header.typeFlag] : undefined;
  if (type === undefined)
    throw badTar(`member ${displayTarName(name)} is of the unsupported type ${JSON.stringify(header.typeFlag)}`);
  // How archives older than POSIX write directories.
  return type === 'file' && name.endsWith('/') ? 'directory' : type;
}

function checkName(name: string, what: string): void {
  if (name === '') throw badTar(`a member has an empty ${what}`);
  if (name.includes('\0')) throw badTar(`the ${what} ${displayTarName(name)} has a NUL in it`);
  if (name.length > NAME_BYTES_MAX || name.split('/').some((part) => part.length > COMPONENT_BYTES_MAX))
    throw badTar(`the ${what} ${displayTarName(name)} is too long`);
}

export interface LongNames {
  readonly name: string | undefined;
  readonly linkName: string | undefined;
}

/** What a member is, once its own header, GNU's long names and its extended records are put together. */
export function tarEntry(header: RawTarHeader, long: LongNames, pax: PaxRecords | undefined): TarEntry {
  if (
    (long.name !== undefined && pax?.path !== undefined) ||
    (long.linkName !== undefined && pax?.linkPath !== undefined)
  )
    throw badTar(`member ${displayTarName(header.name)} has its name in two extensions`);
  const name = long.name ?? pax?.path ?? header.name;
  checkName(name, 'name');
  const type = entryType(header, name);
  const isLink = type === 'symlink' || type === 'hardlink';
  const linkName = isLink ? (long.linkName ?? pax?.linkPath ?? header.linkName) : '';
  if (isLink) checkName(linkName, 'link target');
  const sizeBytes = pax?.sizeBytes ?? header.sizeBytes;
  if (type !== 'file' && sizeBytes !== 0) throw badTar(`member ${displayTarName(name)} is a ${type} with content`);
  return {
    name,
    type,
    sizeBytes,
    mode: header.mode,
    userId: pax?.userId ?? header.userId,
    groupId: pax?.groupId ?? header.groupId,
    modifiedSeconds: pax?.modifiedSeconds ?? header.modifiedSeconds,
    linkName,
    deviceMajor: header.deviceMajor,
    deviceMinor: header.deviceMinor,
    attributeNames: pax?.attributeNames ?? [],
  };
}
