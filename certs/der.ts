/**
 * A strict DER reader. Certificate requests come from strangers, and what we sign is what we read, so there must be one
 * reading of every input: definite, shortest lengths; shortest integers; booleans 00 or ff; no trailing bytes. (The
 * parser of node-forge accepts BER here: indefinite and padded lengths.) Writing is in `der-writer.ts`.
 */
import { CERTIFICATE_CONFIG } from './config.ts';
import { badCertificate } from './errors.ts';

/** Identifier octets: class, constructed bit and number in one, as on the wire. */
export const TAGS = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Tag of a constructed, context-specific value: `[n]`. */
export function contextTag(number: number): number {
  return 0xa0 | number;
}

export interface DerNode {
  readonly tag: number;
  /** Tag, length and content. Signatures are made over these very bytes. */
  readonly raw: Buffer;
  readonly content: Buffer;
  /** Empty for primitive values. */
  readonly children: readonly DerNode[];
}

/** Reads exactly one value that fills `bytes`. `what` begins the error's message. */
export function readDer(bytes: Buffer, what: string): DerNode {
  const node = readNode(bytes, 0, 0, what);
  if (node.raw.length !== bytes.length)
    throw badCertificate(what, `${bytes.length - node.raw.length} bytes follow its end`);
  return node;
}

function readNode(bytes: Buffer, start: number, depth: number, what: string): DerNode {
  if (depth > CERTIFICATE_CONFIG.derMaxDepth) throw badCertificate(what, 'is nested too deeply');
  const tag = bytes[start];
  const firstLength = bytes[start + 1];
  if (tag === undefined || firstLength === undefined) throw badCertificate(what, 'is cut short');
  if ((tag & 0x1f) === 0x1f || tag === 0) throw badCertificate(what, `has an unexpected tag at byte ${start}`);

  let length = firstLength;
  let contentStart = start + 2;
  if (firstLength >= 0x80) {
    const lengthBytes = firstLength & 0x7f;
    // Inputs are a few KiB, so a length of more than three bytes is rubbish; 0 is BER's indefinite form.
    if (lengthBytes === 0 || lengthBytes > 3) throw badCertificate(what, `has a bad length at byte ${start + 1}`);
    if (contentStart + lengthBytes > bytes.length) throw badCertificate(what, 'is cut short');
    length = bytes.readUIntBE(contentStart, lengthBytes);
    if (length < 0x80 || length < 2 ** (8 * (lengthBytes - 1)))
      throw badCertificate(what, `has a padded length at byte ${start + 1}`);
    contentStart += lengthBytes;
  }
  const end = contentStart + length;
  if (end > bytes.length) throw badCertificate(what, 'is cut short');

  const children: DerNode[] = [];
  if ((tag & 0x20) !== 0) {
    const limited = bytes.subarray(0, end);
    for (let at = contentStart; at < end; ) {
      const child = readNode(limited, at, depth + 1, what);
      children.push(child);
      at += child.raw.length;
    }
  }
  const node: DerNode = { tag, raw: bytes.subarray(start, end), content: bytes.subarray(contentStart, end), children };
  checkContent(node, start, what);
  return node;
}

function checkContent(node: DerNode, start: number, what: string): void {
  if ((node.tag & 0xc0) !== 0) return;
  const problem = contentProblem(node.tag, node.content);
  if (problem !== undefined) throw badCertificate(what, `has ${problem} at byte ${start}`);
}

/** DER's rules for the universal types that we meet; undefined when the content keeps them. */
function contentProblem(tag: number, content: Buffer): string | undefined {
  const first = content[0];
  switch (tag) {
    case TAGS.boolean:
      return content.length === 1 && (first === 0 || first === 0xff) ? undefined : 'a bad boolean';
    case TAGS.integer: {
      const second = content[1] ?? 0;
      if (first === undefined) return 'an empty integer';
      const padded = content.length > 1 && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80));
      return padded ? 'a padded integer' : undefined;
    }
    case TAGS.bitString: {
      if (first === undefined || first > 7 || (first > 0 && content.length === 1)) return 'a bad bit string';
      const last = content[content.length - 1] ?? 0;
      return first > 0 && (last & ((1 << first) - 1)) !== 0 ? 'a bit string with set padding bits' : undefined;
    }
    case TAGS.null:
      return content.length === 0 ? undefined : 'a null with content';
    case TAGS.objectIdentifier:
      return objectIdentifierProblem(content);
    // The constructed forms of primitive types, and primitive sequences and sets, exist in BER only.
    case 0x10:
    case 0x11:
      return 'a primitive sequence or set';
    default:
      return (tag & 0x20) !== 0 && tag !== TAGS.sequence && tag !== TAGS.set ? 'a constructed primitive' : undefined;
  }
}

function objectIdentifierProblem(content: Buffer): string | undefined {
  const last = content[content.length - 1];
  if (last === undefined || (last & 0x80) !== 0) return 'a bad object identifier';
  for (let i = 0; i < content.length; i++) {
    const begins = i === 0 || ((content[i - 1] ?? 0) & 0x80) === 0;
    if (begins && content[i] === 0x80) return 'a padded object identifier';
  }
  return undefined;
}

/** Takes the children of a value one by one, in the order that the structure's definition gives them. */
export class DerCursor {
  readonly #children: readonly DerNode[];
  readonly #what: string;
  #at = 0;

  /** `what` names the structure for errors. */
  constructor(node: DerNode, tag: number, what: string) {
    if (node.tag !== tag) throw badCertificate(what, `has tag ${hex(node.tag)} where ${hex(tag)} belongs`);
    this.#children = node.children;
    this.#what = what;
  }

  /** The next child, which must have this tag. */
  take(tag: number, part: string): DerNode {
    const node = this.#children[this.#at];
    if (node?.tag !== tag) throw badCertificate(this.#what, `has no valid ${part}`);
    this.#at++;
    return node;
  }

  /** The next child, whatever it is. */
  takeAny(part: string): DerNode {
    const node = this.#children[this.#at];
    if (node === undefined) throw badCertificate(this.#what, `has no ${part}`);
    this.#at++;
    return node;
  }

  /** The next child if it has this tag. */
  takeOptional(tag: number): DerNode | undefined {
    const node = this.#children[this.#at];
    if (node?.tag !== tag) return undefined;
    this.#at++;
    return node;
  }

  get done(): boolean {
    return this.#at >= this.#children.length;
  }

  /** Nothing may be left. */
  end(): void {
    if (!this.done) throw badCertificate(this.#what, 'has unexpected parts at its end');
  }
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`;
}
