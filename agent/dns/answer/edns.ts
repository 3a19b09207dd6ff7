/** EDNS (RFC 6891): what the asker says of itself, and what we say of ourselves. dns2 adds none of it to an answer. */
import { countOffset, read16, TYPE, write16 } from './wire.ts';

export interface Edns {
  /** The largest UDP answer that the asker takes; at least 512. */
  readonly payloadBytes: number;
  readonly version: number;
  /** It wants signatures along. */
  readonly dnssecOk: boolean;
}

export const PLAIN_PAYLOAD_BYTES = 512;
/** Without options. */
export const OPT_BYTES = 11;
const DO_BIT = 0x8000;
const OPTION_EDE = 15;
/** Extended errors (RFC 8914) that we give. */
export const EXTENDED_ERROR = { prohibited: 18, notReady: 14, noReachableAuthority: 22 } as const;
export type ExtendedError = keyof typeof EXTENDED_ERROR;

/**
 * Reads the OPT record at the offset when it is the last thing in the message. Undefined when there is something else, or
 * options that do not add up.
 */
export function readTrailingOpt(message: Uint8Array, offset: number): Edns | undefined {
  if (message[offset] !== 0 || offset + OPT_BYTES > message.length) return undefined;
  if (read16(message, offset + 1) !== TYPE.OPT) return undefined;
  const end = offset + OPT_BYTES + read16(message, offset + 9);
  if (end !== message.length) return undefined;
  for (let option = offset + OPT_BYTES; option < end; option += 4 + read16(message, option + 2))
    if (option + 4 > end || option + 4 + read16(message, option + 2) > end) return undefined;
  return {
    payloadBytes: Math.max(read16(message, offset + 3), PLAIN_PAYLOAD_BYTES),
    version: message[offset + 6] ?? 0,
    dnssecOk: (read16(message, offset + 7) & DO_BIT) !== 0,
  };
}

export interface OptReply {
  readonly payloadBytes: number;
  readonly dnssecOk: boolean;
  /** Of a response code above 15. */
  readonly extendedRcode: number;
  readonly extendedError: ExtendedError | undefined;
}

export function optReplyBytes(reply: Pick<OptReply, 'extendedError'>): number {
  return OPT_BYTES + (reply.extendedError === undefined ? 0 : 6);
}

/** Writes the record at the offset; says where it ends. The count in the header is the caller's. */
export function writeOpt(message: Uint8Array, offset: number, reply: OptReply): number {
  const { extendedError } = reply;
  message[offset] = 0;
  write16(message, offset + 1, TYPE.OPT);
  write16(message, offset + 3, reply.payloadBytes);
  message[offset + 5] = reply.extendedRcode;
  message[offset + 6] = 0;
  write16(message, offset + 7, reply.dnssecOk ? DO_BIT : 0);
  write16(message, offset + 9, extendedError === undefined ? 0 : 6);
  if (extendedError === undefined) return offset + OPT_BYTES;
  write16(message, offset + 11, OPTION_EDE);
  write16(message, offset + 13, 2);
  write16(message, offset + 15, EXTENDED_ERROR[extendedError]);
  return offset + OPT_BYTES + 6;
}

/** The message, which has no OPT, with one at its end. */
export function withOpt(message: Uint8Array, reply: OptReply): Buffer {
  const whole = Buffer.allocUnsafe(message.length + optReplyBytes(reply));
  whole.set(message);
  writeOpt(whole, message.length, reply);
  const count = countOffset('additional');
  write16(whole, count, read16(whole, count) + 1);
  return whole;
}
