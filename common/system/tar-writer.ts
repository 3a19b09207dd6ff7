import { TAR_BLOCK_BYTES, type TarEntry, type TarEntryType } from './tar-header.ts';

const TYPE_FLAGS: Readonly<Record<TarEntryType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  'character-device': '3',
  'block-device': '4',
  directory: '5',
  fifo: '6',
};
/** The largest number that eleven octal digits hold. */
const OCTAL_SIZE_MAX = 8 ** 11 - 1;
const OCTAL_ID_MAX = 8 ** 7 - 1;
const NAME_BYTES = 100;

/** What a writer has to know of a member; the rest has harmless defaults. */
export type NewTarEntry = Pick<TarEntry, 'name'> & Partial<Omit<TarEntry, 'attributeNames'>>;

function header(entry: NewTarEntry, typeFlag: string): Buffer {
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  const octal = (value: number, start: number, length: number, valueMax: number): void => {
    block.write(
      Math.min(Math.trunc(value), valueMax)
        .toString(8)
        .padStart(length - 1, '0'),
      start,
      'latin1',
    );
  };
  block.write(entry.name.slice(0, NAME_BYTES), 0, 'latin1');
  octal(entry.mode ?? 0o644, 100, 8, 0o7777);
  octal(entry.userId ?? 0, 108, 8, OCTAL_ID_MAX);
  octal(entry.groupId ?? 0, 116, 8, OCTAL_ID_MAX);
  octal(entry.sizeBytes ?? 0, 124, 12, OCTAL_SIZE_MAX);
  octal(entry.modifiedSeconds ?? 0, 136, 12, OCTAL_SIZE_MAX);
  block.write(' '.repeat(8), 148, 'latin1');
  block.write(typeFlag, 156, 'latin1');
  block.write((entry.linkName ?? '').slice(0, NAME_BYTES), 157, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  octal(entry.deviceMajor ?? 0, 329, 8, OCTAL_ID_MAX);
  octal(entry.deviceMinor ?? 0, 337, 8, OCTAL_ID_MAX);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** `length key=value\n`, where the length counts its own digits too. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return length + rest;
}

function paxRecords(entry: NewTarEntry): string {
  let records = '';
  // Names are one character per byte, so string lengths are byte lengths.
  if (entry.name.length > NAME_BYTES) records += paxRecord('path', entry.name);
  if ((entry.linkName ?? '').length > NAME_BYTES) records += paxRecord('linkpath', entry.linkName ?? '');
  if ((entry.sizeBytes ?? 0) > OCTAL_SIZE_MAX) records += paxRecord('size', String(entry.sizeBytes));
  if ((entry.userId ?? 0) > OCTAL_ID_MAX) records += paxRecord('uid', String(entry.userId));
  if ((entry.groupId ?? 0) > OCTAL_ID_MAX) records += paxRecord('gid', String(entry.groupId));
  return records;
}

/** The bytes before a member's content, in the POSIX format. Names are one character per byte (latin1). */
export function tarHeader(entry: NewTarEntry): Buffer {
  const main = header(entry, TYPE_FLAGS[entry.type ?? 'file']);
  const records = paxRecords(entry);
  if (records === '') return main;
  const content = Buffer.from(records, 'latin1');
  const extended = header({ name: 'PaxHeaders/extended', sizeBytes: content.length }, 'x');
  return Buffer.concat([extended, content, tarPadding(content.length), main]);
}

/** The zeros behind a content of so many bytes. */
export function tarPadding(sizeBytes: number): Buffer {
  const over = sizeBytes % TAR_BLOCK_BYTES;
  return Buffer.alloc(over === 0 ? 0 : TAR_BLOCK_BYTES - over);
}

/** The end mark. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * TAR_BLOCK_BYTES);
}
