/** Messages to and from other servers: what we ask, and which answers are good. */
import { OPT_BYTES, writeOpt } from '../answer/edns.ts';
import {
  AD,
  CD,
  countOffset,
  flagsOf,
  HEADER_BYTES,
  opcodeOf,
  QR,
  type Question,
  questionKey,
  RD,
  read16,
  read32,
  readQuestion,
  readRecords,
  TC,
  TYPE,
  write16,
  write32,
} from '../answer/wire.ts';

/** What we take by UDP from outside: one packet on every path. */
const PAYLOAD_BYTES = 1232;
/** Of an SOA record's data behind its two names: serial, refresh, retry, expire, minimum. */
const SOA_NUMBERS_BYTES = 20;

/** What distinguishes one question to a server from another. */
export interface Asked {
  /** With header and question. Only the question and the AD and CD bits count. */
  readonly message: Buffer;
  readonly question: Question;
  readonly dnssecOk: boolean;
}

/** Equal for questions that have the same answer. */
export function askedKey({ message, question, dnssecOk }: Asked): string {
  const bits = flagsOf(message) & (AD | CD);
  return `${question.type} ${question.class} ${bits} ${dnssecOk ? 1 : 0} ${questionKey(message, question)}`;
}

export function upstreamQuery({ message, question, dnssecOk }: Asked, id: number): Buffer {
  const query = Buffer.alloc(question.end + OPT_BYTES);
  query.set(message.subarray(HEADER_BYTES, question.end), HEADER_BYTES);
  write16(query, 0, id);
  write16(query, 2, RD | (flagsOf(message) & (AD | CD)));
  write16(query, 4, 1);
  write16(query, 10, 1);
  writeOpt(query, question.end, {
    payloadBytes: PAYLOAD_BYTES,
    dnssecOk,
    extendedRcode: 0,
    extendedError: undefined,
  });
  return query;
}

/** An answer of another server, without its OPT record. Treated as unchanging. */
export interface UpstreamAnswer {
  readonly message: Buffer;
  readonly questionEnd: number;
  readonly rcode: number;
  readonly truncated: boolean;
  /** Where the TTLs of its records stand. */
  readonly ttlOffsets: readonly number[];
  /** The shortest of them; that of the SOA record for negative ones; 0 when there is nothing to go by. */
  readonly ttlSeconds: number;
  readonly negative: boolean;
}

/** Whether the message answers the question: same question, a response, to a standard query. */
export function answersQuestion(message: Buffer, asked: Asked): boolean {
  if (message.length < HEADER_BYTES || (flagsOf(message) & QR) === 0 || opcodeOf(message) !== 0) return false;
  if (read16(message, 4) !== 1) return false;
  const question = readQuestion(message);
  if (question?.type !== asked.question.type || question.class !== asked.question.class) return false;
  return questionKey(message, question) === questionKey(asked.message, asked.question);
}

/** Undefined when the message is damaged. To be called for what `answersQuestion`. */
export function readUpstreamAnswer(message: Buffer, questionEnd: number): UpstreamAnswer | undefined {
  const records = readRecords(message, questionEnd);
  if (records === undefined) return undefined;
  const optIndex = records.findIndex((record) => record.type === TYPE.OPT);
  const opt = records[optIndex];
  // Pointers lead backwards: what stands before the OPT record can stay as it is. What stands behind is extra anyway.
  if (opt !== undefined && opt.section !== 'additional') return undefined;
  const kept = opt === undefined ? records : records.slice(0, optIndex);
  const clean = Buffer.from(message.subarray(0, opt === undefined ? message.length : opt.start));
  write16(clean, countOffset('additional'), kept.filter((record) => record.section === 'additional').length);
  const answers = read16(message, countOffset('answer'));
  let ttlSeconds = Number.POSITIVE_INFINITY;
  for (const record of kept) {
    let ttl = read32(message, record.fixed + 4);
    if (answers === 0 && record.section === 'authority' && record.type === TYPE.SOA)
      if (record.end - record.fixed - 10 > SOA_NUMBERS_BYTES) ttl = Math.min(ttl, read32(message, record.end - 4));
    ttlSeconds = Math.min(ttlSeconds, ttl > 0x7fffffff ? 0 : ttl);
  }
  const hasSoa = kept.some((record) => record.section === 'authority' && record.type === TYPE.SOA);
  const usable = answers > 0 || hasSoa;
  return {
    message: clean,
    questionEnd,
    rcode: (flagsOf(message) & 15) | ((opt === undefined ? 0 : (message[opt.fixed + 4] ?? 0)) << 4),
    truncated: (flagsOf(message) & TC) !== 0,
    ttlOffsets: kept.map((record) => record.fixed + 4),
    ttlSeconds: usable && Number.isFinite(ttlSeconds) ? ttlSeconds : 0,
    negative: answers === 0,
  };
}

/** A copy to send on: the asker's own id, flags and spelling of the name, and TTLs that have grown older. */
export function agedCopy(
  answer: UpstreamAnswer,
  asked: Uint8Array,
  flags: number,
  ageSeconds: number,
  ttlSecondsMax: number,
): Buffer {
  const copy = Buffer.from(answer.message);
  copy.set(asked.subarray(0, 2));
  write16(copy, 2, flags);
  copy.set(asked.subarray(HEADER_BYTES, answer.questionEnd), HEADER_BYTES);
  for (const offset of answer.ttlOffsets) {
    const ttl = Math.min(read32(copy, offset), ttlSecondsMax);
    write32(copy, offset, Math.max(0, ttl - ageSeconds));
  }
  return copy;
}
