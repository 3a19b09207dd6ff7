/** One question for addresses, and what of its answer counts here. Pure. */
import { addressText } from '../../kernel/ip-address.ts';

export const TYPE_A = 1;
export const TYPE_AAAA = 28;
const CLASS_IN = 1;
const RECURSION_DESIRED = 0x0100;
const HEADER_BYTES = 12;

/** What the code of an answer means, for people. */
const CODES: Readonly<Record<number, string>> = {
  1: 'FORMERR',
  2: 'SERVFAIL',
  3: 'NXDOMAIN',
  4: 'NOTIMP',
  5: 'REFUSED',
};

export interface NameAnswer {
  readonly addresses: readonly string[];
  /** "NXDOMAIN" and the like. */
  readonly refusal: string | undefined;
}

export function dnsQuestion(id: number, name: string, type: number): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(RECURSION_DESIRED, 2);
  header.writeUInt16BE(1, 4);
  const tail = Buffer.alloc(5);
  tail.writeUInt16BE(type, 1);
  tail.writeUInt16BE(CLASS_IN, 3);
  return Buffer.concat([header, ...labels, tail]);
}

/** Behind a name, which may end in a pointer to another one. */
function afterName(bytes: Buffer, at: number): number {
  for (;;) {
    const length = bytes.readUInt8(at);
    if (length === 0) return at + 1;
    if ((length & 0xc0) === 0xc0) return at + 2;
    at += 1 + length;
  }
}

/** Undefined for what is no answer to the question with this id, or cannot be read. */
export function readAnswer(bytes: Buffer, id: number): NameAnswer | undefined {
  try {
    if (bytes.readUInt16BE(0) !== id || (bytes.readUInt8(2) & 0x80) === 0) return undefined;
    const code = bytes.readUInt8(3) & 0x0f;
    const addresses: string[] = [];
    let at = HEADER_BYTES;
    for (let left = bytes.readUInt16BE(4); left > 0; left--) at = afterName(bytes, at) + 4;
    for (let left = bytes.readUInt16BE(6); left > 0; left--) {
      at = afterName(bytes, at);
      const type = bytes.readUInt16BE(at);
      const length = bytes.readUInt16BE(at + 8);
      if (type === TYPE_A || type === TYPE_AAAA) addresses.push(addressText(bytes.subarray(at + 10, at + 10 + length)));
      at += 10 + length;
    }
    return { addresses, refusal: code === 0 ? undefined : (CODES[code] ?? `code ${code}`) };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
