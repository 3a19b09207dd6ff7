/**
 * The little of the DNS format that is read and changed in place: headers, one question, the bounds of records. Whatever
 * has a meaning of its own is read and written by dns2.
 */

export const HEADER_BYTES = 12;
export const TYPE = { A: 1, SOA: 6, OPT: 41, ANY: 255 } as const;
export const CLASS_IN = 1;
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;

const NAME_BYTES_MAX = 255;
const LABEL_BYTES_MAX = 63;
const POINTER = 0xc0;

// Bits of the second word of the header.
export const QR = 0x8000;
export const AA = 0x0400;
export const TC = 0x0200;
export const RD = 0x0100;
export const RA = 0x0080;
export const AD = 0x0020;
export const CD = 0x0010;
const OPCODE_SHIFT = 11;

export function flagsOf(message: Uint8Array): number {
  return ((message[2] ?? 0) << 8) | (message[3] ?? 0);
}

export function opcodeOf(message: Uint8Array): number {
  return (flagsOf(message) >> OPCODE_SHIFT) & 15;
}

export interface Question {
  /** In lower case, without a dot at its end; undefined when a label has bytes that no name of ours has. */
  readonly name: string | undefined;
  readonly type: number;
  readonly class: number;
  /** Where the question ends in the message; it begins after the header. */
  readonly end: number;
}

/** What a label of ours may have; a dot within a label would read like two labels. */
function isPlain(byte: number): boolean {
  return byte > 32 && byte < 127 && byte !== 46;
}

/** Letters of ASCII alone: names are equal whatever their case, other bytes are what they are. */
function lowered(text: string): string {
  return /[A-Z]/.test(text) ? text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : text;
}

/** The first question of a message; undefined when it is damaged or compressed (it has nothing to point at). */
export function readQuestion(message: Buffer): Question | undefined {
  let offset = HEADER_BYTES;
  let name = '';
  let plain = true;
  for (;;) {
    const length = message[offset];
    if (length === undefined || length > LABEL_BYTES_MAX) return undefined;
    offset++;
    if (length === 0) break;
    const end = offset + length;
    if (end >= message.length || end - HEADER_BYTES >= NAME_BYTES_MAX) return undefined;
    for (let index = offset; index < end; index++) plain &&= isPlain(message[index] ?? 0);
    const label = message.toString('latin1', offset, end);
    name = name === '' ? label : `${name}.${label}`;
    offset = end;
  }
  if (offset + 4 > message.length) return undefined;
  return {
    name: plain ? lowered(name) : undefined,
    type: read16(message, offset),
    class: read16(message, offset + 2),
    end: offset + 4,
  };
}

/** The encoded name in lower case, a character a byte: equal for equal names whatever is in them. */
export function questionKey(message: Buffer, question: Question): string {
  // Lengths of labels are below the letters.
  return lowered(message.toString('latin1', HEADER_BYTES, question.end - 4));
}

export function read16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0);
}

export function read32(bytes: Uint8Array, offset: number): number {
  return read16(bytes, offset) * 65_536 + read16(bytes, offset + 2);
}

export function write16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >> 8;
  bytes[offset + 1] = value & 255;
}

export function write32(bytes: Uint8Array, offset: number, value: number): void {
  write16(bytes, offset, value >>> 16);
  write16(bytes, offset + 2, value & 0xffff);
}

export type Section = 'answer' | 'authority' | 'additional';
const SECTIONS: readonly Section[] = ['answer', 'authority', 'additional'];

export interface RecordBounds {
  readonly section: Section;
  readonly start: number;
  readonly type: number;
  /** Of type, class, TTL and length of the data, which follow the name. */
  readonly fixed: number;
  readonly end: number;
}

/** Where a name ends that may be compressed; undefined when it runs out of the message. */
function skipName(message: Uint8Array, start: number): number | undefined {
  let offset = start;
  for (;;) {
    const length = message[offset];
    if (length === undefined) return undefined;
    if (length >= POINTER) return offset + 2 <= message.length ? offset + 2 : undefined;
    if (length > LABEL_BYTES_MAX) return undefined;
    offset += length + 1;
    if (length === 0) return offset <= message.length ? offset : undefined;
    if (offset - start > NAME_BYTES_MAX) return undefined;
  }
}

/** All records behind the question; undefined when the message is damaged: cut off, or with bytes left over. */
export function readRecords(message: Uint8Array, questionEnd: number): readonly RecordBounds[] | undefined {
  const records: RecordBounds[] = [];
  let offset = questionEnd;
  for (const [index, section] of SECTIONS.entries()) {
    for (let count = read16(message, 6 + 2 * index); count > 0; count--) {
      const fixed = skipName(message, offset);
      if (fixed === undefined || fixed + 10 > message.length) return undefined;
      const end = fixed + 10 + read16(message, fixed + 8);
      if (end > message.length) return undefined;
      records.push({ section, start: offset, type: read16(message, fixed), fixed, end });
      offset = end;
    }
  }
  return offset === message.length ? records : undefined;
}

/** Offset of a section's count in the header. */
export function countOffset(section: Section): number {
  return 6 + 2 * SECTIONS.indexOf(section);
}
