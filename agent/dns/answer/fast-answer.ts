/**
 * The path of nearly every question: addresses of a name of ours, answered without dns2, whose codec works bit by bit.
 * What is in any way unusual is left to the slow path.
 */
import { type Random, randomInt } from '#common/random.ts';
import type { HostAddress } from '../book/host-address.ts';
import { type Edns, optReplyBytes, PLAIN_PAYLOAD_BYTES, readTrailingOpt, writeOpt } from './edns.ts';
import { AA, CD, CLASS_IN, HEADER_BYTES, QR, RA, RD, read16, TC, TYPE, write16, write32 } from './wire.ts';

/** A pointer to the name in the question. */
const QUESTION_NAME = 0xc000 | HEADER_BYTES;
const RECORD_HEAD_BYTES = 12;
const TYPE_AAAA = 28;

/** The family that a question asks for; undefined when it asks for something else. */
export function familyOf(type: number): 4 | 6 | undefined {
  if (type === TYPE.A) return 4;
  return type === TYPE_AAAA ? 6 : undefined;
}

/** The flags that every answer of ours has, with those of the question that are to come back. */
export function answerFlags(questionFlags: number): number {
  return QR | AA | RA | (questionFlags & (RD | CD));
}

/**
 * Whether the message is a standard question with nothing but at most an OPT record behind it. `null`: it is, without
 * EDNS; undefined: it is not.
 */
export function plainEdns(message: Uint8Array, questionEnd: number): Edns | null | undefined {
  // Everything but RD, AD and CD has to be 0; one question, no records but one additional.
  if (((message[2] ?? 0) & 0xfe) !== 0 || ((message[3] ?? 0) & 0xcf) !== 0) return undefined;
  if (read16(message, 4) !== 1 || read16(message, 6) !== 0 || read16(message, 8) !== 0) return undefined;
  const additional = read16(message, 10);
  if (additional === 0) return message.length === questionEnd ? null : undefined;
  if (additional !== 1) return undefined;
  const edns = readTrailingOpt(message, questionEnd);
  return edns?.version === 0 ? edns : undefined;
}

export interface AddressReply {
  /** The question it answers, header first. */
  readonly message: Uint8Array;
  readonly questionEnd: number;
  /** At least one, all of the family that was asked for. */
  readonly addresses: readonly HostAddress[];
  readonly ttlSeconds: number;
  readonly edns: Edns | null;
  /** The largest UDP message that we send; undefined over TCP. */
  readonly udpPayloadBytes: number | undefined;
  /** What is said in EDNS of ourselves. */
  readonly ownPayloadBytes: number;
}

/**
 * At most so many of them in random order, as Docker does with tasks. Of a long list a stretch that begins anywhere is
 * taken, so that a service of thousands of tasks costs no more than what the answer holds.
 */
export function sample(addresses: readonly HostAddress[], countMax: number, random: Random): readonly HostAddress[] {
  const [first] = addresses;
  if (first === undefined || (addresses.length === 1 && countMax > 0)) return addresses;
  const count = Math.min(addresses.length, countMax);
  const start = randomInt(random, addresses.length);
  const taken: HostAddress[] = [];
  for (let index = 0; index < count; index++) {
    const one = addresses[(start + index) % addresses.length] ?? first;
    // Inside-out shuffle.
    const place = randomInt(random, index + 1);
    taken.push(taken[place] ?? one);
    taken[place] = one;
  }
  return taken;
}

export function recordBytesOf(addressBytes: number): number {
  return RECORD_HEAD_BYTES + addressBytes;
}

export function writeAddressReply(reply: AddressReply, random: Random): Buffer {
  const { message, questionEnd, edns } = reply;
  const recordBytes = recordBytesOf(reply.addresses[0]?.bytes.length ?? 0);
  const optBytes = edns === null ? 0 : optReplyBytes({ extendedError: undefined });
  const limit =
    reply.udpPayloadBytes === undefined
      ? 65_535
      : Math.min(edns?.payloadBytes ?? PLAIN_PAYLOAD_BYTES, reply.udpPayloadBytes);
  const addresses = sample(reply.addresses, Math.floor((limit - questionEnd - optBytes) / recordBytes), random);
  const count = addresses.length;
  const bytes = Buffer.allocUnsafe(questionEnd + count * recordBytes + optBytes);
  bytes.set(message.subarray(0, questionEnd));
  const questionFlags = read16(message, 2);
  write16(
    bytes,
    2,
    answerFlags(questionFlags) | (count < reply.addresses.length && reply.udpPayloadBytes !== undefined ? TC : 0),
  );
  write16(bytes, 6, count);
  write16(bytes, 10, edns === null ? 0 : 1);
  let offset = questionEnd;
  const type = read16(message, questionEnd - 4);
  for (let index = 0; index < count; index++) {
    const address = addresses[index];
    if (address === undefined) break;
    write16(bytes, offset, QUESTION_NAME);
    write16(bytes, offset + 2, type);
    write16(bytes, offset + 4, CLASS_IN);
    write32(bytes, offset + 6, reply.ttlSeconds);
    write16(bytes, offset + 10, address.bytes.length);
    bytes.set(address.bytes, offset + RECORD_HEAD_BYTES);
    offset += recordBytes;
  }
  if (edns !== null)
    writeOpt(bytes, offset, {
      payloadBytes: reply.ownPayloadBytes,
      dnssecOk: edns.dnssecOk,
      extendedRcode: 0,
      extendedError: undefined,
    });
  return bytes;
}
