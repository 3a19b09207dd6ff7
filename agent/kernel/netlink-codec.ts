/**
 * The bytes of netlink: a header, a fixed part, then attributes (length, type, value), all in host byte order and
 * padded to 4 bytes. Starling runs on little-endian machines only (x64, arm64).
 */

import { addressText } from './ip-address.ts';

const HEADER_BYTES = 16;
const ATTRIBUTE_HEADER_BYTES = 4;
const NESTED = 0x8000;
const ATTRIBUTE_TYPE_MASK = 0x3fff;

function padded(length: number): number {
  return (length + 3) & ~3;
}

/** One attribute, its header and padding included. */
export function attribute(type: number, value: Uint8Array): Buffer {
  const length = ATTRIBUTE_HEADER_BYTES + value.length;
  const bytes = Buffer.alloc(padded(length));
  bytes.writeUInt16LE(length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, ATTRIBUTE_HEADER_BYTES);
  return bytes;
}

export function attributeU8(type: number, value: number): Buffer {
  return attribute(type, Uint8Array.of(value));
}

export function attributeU32(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return attribute(type, bytes);
}

/** Big endian, as port numbers travel. */
export function attributeU16Network(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return attribute(type, bytes);
}

export function attributeU32Network(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return attribute(type, bytes);
}

/** A name, with the zero that ends it in C. */
export function attributeText(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(`${value}\0`));
}

/** An attribute that holds attributes; a fixed part may come before them, as in VETH_INFO_PEER. */
export function attributeNested(type: number, parts: readonly Uint8Array[]): Buffer {
  return attribute(type | NESTED, Buffer.concat(parts));
}

/** A whole message; the length is filled in, the sender's port id is the kernel's to fill. */
export function message(type: number, flags: number, sequence: number, parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const bytes = Buffer.alloc(padded(HEADER_BYTES + body.length));
  bytes.writeUInt32LE(HEADER_BYTES + body.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags, 6);
  bytes.writeUInt32LE(sequence, 8);
  bytes.set(body, HEADER_BYTES);
  return bytes;
}

export interface ParsedMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** Socket that the message goes to, or that caused the change it tells of; 0 is the kernel itself. */
  readonly portId: number;
  /** What follows the header. */
  readonly body: Buffer;
}

/** The messages of one datagram. Stops at the first that is malformed: the kernel does not send such. */
export function parseMessages(datagram: Buffer): readonly ParsedMessage[] {
  const messages: ParsedMessage[] = [];
  let offset = 0;
  while (offset + HEADER_BYTES <= datagram.length) {
    const length = datagram.readUInt32LE(offset);
    if (length < HEADER_BYTES || offset + length > datagram.length) break;
    messages.push({
      type: datagram.readUInt16LE(offset + 4),
      flags: datagram.readUInt16LE(offset + 6),
      sequence: datagram.readUInt32LE(offset + 8),
      portId: datagram.readUInt32LE(offset + 12),
      body: datagram.subarray(offset + HEADER_BYTES, offset + length),
    });
    offset += padded(length);
  }
  return messages;
}

/** Attributes by type (flag bits removed); of a repeated type the last one. */
export function parseAttributes(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  let offset = 0;
  while (offset + ATTRIBUTE_HEADER_BYTES <= bytes.length) {
    const length = bytes.readUInt16LE(offset);
    if (length < ATTRIBUTE_HEADER_BYTES || offset + length > bytes.length) break;
    attributes.set(
      bytes.readUInt16LE(offset + 2) & ATTRIBUTE_TYPE_MASK,
      bytes.subarray(offset + ATTRIBUTE_HEADER_BYTES, offset + length),
    );
    offset += padded(length);
  }
  return attributes;
}

export function attributeU16(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return attribute(type, bytes);
}

/** The text of an attribute, without the zero at its end. */
export function textOf(value: Buffer | undefined): string | undefined {
  if (value === undefined) return undefined;
  const end = value.indexOf(0);
  return value.toString('utf8', 0, end < 0 ? value.length : end);
}

export function u32Of(value: Buffer | undefined): number | undefined {
  return value === undefined || value.length < 4 ? undefined : value.readUInt32LE(0);
}

/** "10.0.0.1" for the 4 bytes of an address, "fd00::1" for its 16. */
export function addressOf(value: Buffer | undefined): string | undefined {
  return value === undefined || (value.length !== 4 && value.length !== 16) ? undefined : addressText(value);
}
