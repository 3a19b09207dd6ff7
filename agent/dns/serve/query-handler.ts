/**
 * From the bytes of a question to the bytes of its answer. Every path ends in an answer, or in nothing for what must not
 * be answered; nothing throws.
 */
import dns2, { type Packet } from 'dns2';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import { AnswerMemory } from '../answer/answer-memory.ts';
import {
  type Edns,
  type ExtendedError,
  OPT_BYTES,
  optReplyBytes,
  PLAIN_PAYLOAD_BYTES,
  readTrailingOpt,
  withOpt,
} from '../answer/edns.ts';
import { encodeResponse, ownResponse } from '../answer/encode-answer.ts';
import { answerFlags, familyOf, plainEdns, recordBytesOf, writeAddressReply } from '../answer/fast-answer.ts';
import { fitTo } from '../answer/fit.ts';
import {
  AA,
  AD,
  CLASS_IN,
  flagsOf,
  HEADER_BYTES,
  opcodeOf,
  QR,
  type Question,
  RCODE,
  read16,
  readQuestion,
  TC,
  TYPE,
  write16,
} from '../answer/wire.ts';
import { answerAddress, answerName, answerServicePort, type NameAnswer } from '../book/answer-name.ts';
import type { Asker, NameBook } from '../book/name-book.ts';
import type { DnsServerConfig } from '../config.ts';
import type { ForwardResult } from '../forward/forwarder.ts';
import { type Asked, agedCopy, type UpstreamAnswer } from '../forward/upstream-message.ts';

const { Packet: Dns } = dns2;

export type Transport = 'udp' | 'tcp';

export interface QueryHandlerOptions {
  readonly config: DnsServerConfig;
  /** The book as it is now. */
  readonly book: () => NameBook;
  /** Asks other servers: the asker's own, or else the host's. */
  readonly forward: (asked: Asked, asker: Asker) => ForwardResult | Promise<ForwardResult>;
  readonly ttlSecondsMax: number;
  readonly random: Random;
  readonly logger: Logger;
}

export interface QueryCounts {
  fast: number;
  slow: number;
  forwarded: number;
  dropped: number;
  failed: number;
}

/** Of the slow path: one more than fits into 4096 bytes, so that the cut shows; and 10 ms of encoding. */
const UDP_RECORDS_MAX = 257;
const TCP_RECORDS_MAX = 2000;

/** Answers that are kept to be given again: some hundred containers that ask some dozen names each. */
const KEPT_ANSWERS = 8192;

/** What is known of a question when something goes wrong. */
interface Inquiry {
  readonly message: Buffer;
  readonly transport: Transport;
  readonly question: Question | undefined;
  readonly edns: Edns | null;
}

/** Transaction key, transaction signature, and transfers of zones. */
function isMetaType(type: number): boolean {
  return type >= 249 && type <= 254;
}

export class QueryHandler {
  readonly counts: QueryCounts = { fast: 0, slow: 0, forwarded: 0, dropped: 0, failed: 0 };
  readonly #options: QueryHandlerOptions;
  readonly #memory: AnswerMemory;

  constructor(options: QueryHandlerOptions) {
    this.#options = options;
    this.#memory = new AnswerMemory(KEPT_ANSWERS, options.random);
  }

  /**
   * The answer to a datagram, the first `length` bytes of `message`, that was asked and answered before; undefined for all
   * others, which are for `handle`. The answer is written over by the next call.
   */
  handleAgain(message: Uint8Array, length: number, source: string): Buffer | undefined {
    try {
      const book = this.#options.book();
      const asker = book.askerAt(source);
      const known = asker && this.#memory.find(message, length, asker, book.stamp);
      if (known !== undefined) this.counts.fast++;
      return known;
    } catch {
      return undefined; // `handle` meets the same error, and says so
    }
  }

  /**
   * The answer to a message from the address; undefined when there is to be none: to what is no question (answering
   * answers makes loops) and to scraps without a header.
   */
  handle(message: Buffer, source: string, transport: Transport): Buffer | undefined | Promise<Buffer> {
    if (message.length < HEADER_BYTES || (flagsOf(message) & QR) !== 0) {
      this.counts.dropped++;
      return undefined;
    }
    let inquiry: Inquiry = { message, transport, question: undefined, edns: null };
    try {
      const book = this.#options.book();
      const asker = book.askerAt(source);
      const question = read16(message, 4) === 1 ? readQuestion(message) : undefined;
      inquiry = { ...inquiry, question };
      const fast = asker === undefined || question === undefined ? undefined : this.#fast(inquiry, question, asker);
      if (fast !== undefined) {
        this.counts.fast++;
        return fast;
      }
      this.counts.slow++;
      return this.#slow(inquiry, asker);
    } catch (error) {
      return this.#fail(inquiry, error);
    }
  }

  /** Addresses of names of ours, for plain questions. */
  #fast({ message, transport }: Inquiry, question: Question, asker: Asker): Buffer | undefined {
    const family = familyOf(question.type);
    if (family === undefined || question.class !== CLASS_IN || question.name === undefined) return undefined;
    const edns = plainEdns(message, question.end);
    if (edns === undefined) return undefined;
    const { config, random } = this.#options;
    const answer = answerName(this.#options.book(), asker, question.name);
    if (answer.kind !== 'addresses') return undefined;
    const addresses = answer.addresses.filter((address) => address.family === family);
    if (addresses.length === 0) return undefined;
    const reply = {
      message,
      questionEnd: question.end,
      addresses,
      ttlSeconds: answer.lifetime === 'stable' ? config.stableTtlSeconds : config.movingTtlSeconds,
      edns,
      udpPayloadBytes: transport === 'udp' ? config.udpPayloadBytes : undefined,
      ownPayloadBytes: config.udpPayloadBytes,
    };
    const bytes = writeAddressReply(reply, random);
    // All of them, in any order: a part is another one each time. Options of EDNS may be new with every question.
    const count = read16(bytes, 6);
    const isPlain = message.length <= question.end + OPT_BYTES && bytes.length <= PLAIN_PAYLOAD_BYTES;
    if (transport === 'udp' && isPlain && count === addresses.length) {
      const addressBytes = addresses[0]?.bytes.length ?? 0;
      const run = { start: question.end, recordBytes: recordBytesOf(addressBytes), addressBytes, count };
      this.#memory.keep(message, bytes, run, { asker, stamp: this.#options.book().stamp });
    }
    return bytes;
  }

  #slow(inquiry: Inquiry, asker: Asker | undefined): Buffer | Promise<Buffer> {
    const { message, question } = inquiry;
    if (message.length > this.#options.config.questionBytesMax) return this.#refuse(inquiry, RCODE.FORMERR);
    if (opcodeOf(message) !== 0) return this.#refuse(inquiry, RCODE.NOTIMP);
    // Bounds what the parser has to read: one name and at most two records (OPT and a signature).
    const counts = [4, 6, 8, 10].map((offset) => read16(message, offset));
    if (question === undefined || counts[1] !== 0 || counts[2] !== 0 || (counts[3] ?? 0) > 2)
      return this.#refuse(inquiry, RCODE.FORMERR);
    const request = parse(message);
    if (request === undefined) return this.#refuse(inquiry, RCODE.FORMERR);
    const opts = request.additionals.filter((record) => record.type === TYPE.OPT);
    if (opts.length > 1) return this.#refuse(inquiry, RCODE.FORMERR);
    const edns = ednsOf(opts[0]);
    const known: Inquiry = { ...inquiry, edns };
    if (edns !== null && edns.version !== 0) return this.#refuse(known, RCODE.BADVERS);
    if (asker === undefined || question.class !== CLASS_IN) return this.#refuse(known, RCODE.REFUSED);
    if (isMetaType(question.type)) return this.#refuse(known, RCODE.NOTIMP);
    if (question.type === TYPE.OPT) return this.#refuse(known, RCODE.FORMERR);
    return this.#answer(known, question, asker, request);
  }

  #answer(inquiry: Inquiry, question: Question, asker: Asker, request: Packet): Buffer | Promise<Buffer> {
    const { config, random, book: currentBook } = this.#options;
    const book = currentBook();
    const answer = question.name === undefined ? ({ kind: 'foreign' } as const) : lookUp(book, asker, question.name);
    if (answer.kind === 'foreign') return this.#forward(inquiry, question, asker);
    const recordsMax = inquiry.transport === 'udp' ? UDP_RECORDS_MAX : TCP_RECORDS_MAX;
    const response = ownResponse({ request, answer, version: book.version, lifetimes: config, recordsMax, random });
    const bytes = encodeResponse(response);
    write16(bytes, 2, answerFlags(flagsOf(inquiry.message)) | response.header.rcode);
    return this.#finish(inquiry, bytes);
  }

  #forward(inquiry: Inquiry, question: Question, asker: Asker): Buffer | Promise<Buffer> {
    if (!this.#options.book().mayForward(asker)) return this.#refuse(inquiry, RCODE.NXDOMAIN, 'prohibited');
    const isSingleLabel = question.name !== undefined && !question.name.includes('.') && question.name !== '';
    if (isSingleLabel && asker.keepsSingleLabels) return this.#refuse(inquiry, RCODE.NXDOMAIN);
    this.counts.forwarded++;
    const asked = { message: inquiry.message, question, dnssecOk: inquiry.edns?.dnssecOk ?? false };
    const result = this.#options.forward(asked, asker);
    if (!(result instanceof Promise)) return this.#forwarded(inquiry, result);
    return result.then((late) => this.#forwarded(inquiry, late)).catch((error: unknown) => this.#fail(inquiry, error));
  }

  #forwarded(inquiry: Inquiry, result: ForwardResult): Buffer {
    if (result.kind !== 'answer')
      return this.#refuse(inquiry, RCODE.SERVFAIL, result.kind === 'failed' ? 'noReachableAuthority' : undefined);
    const { answer, ageSeconds } = result;
    const bytes = agedCopy(
      answer,
      inquiry.message,
      forwardedFlags(inquiry, answer),
      ageSeconds,
      this.#options.ttlSecondsMax,
    );
    return this.#finish(inquiry, bytes, answer.rcode);
  }

  #fail(inquiry: Inquiry, error: unknown): Buffer {
    this.counts.failed++;
    this.#options.logger.error('a question could not be answered', { error: SwarmError.from(error).message });
    const { message, question } = inquiry;
    // It may have failed before its EDNS was read.
    const edns = inquiry.edns ?? (question === undefined ? undefined : readTrailingOpt(message, question.end)) ?? null;
    return this.#refuse({ ...inquiry, edns }, RCODE.SERVFAIL);
  }

  /** An answer without records, with as much of the question as could be read. */
  #refuse(inquiry: Inquiry, rcode: number, extendedError?: ExtendedError): Buffer {
    const { message, question } = inquiry;
    const end = question?.end ?? HEADER_BYTES;
    const bytes = Buffer.from(message.subarray(0, end));
    bytes.fill(0, 4, HEADER_BYTES);
    if (question !== undefined) write16(bytes, 4, 1);
    // Its own opcode, so that the asker knows what was refused.
    const flags = (answerFlags(flagsOf(message)) & ~AA) | (opcodeOf(message) << 11) | (rcode & 15);
    write16(bytes, 2, flags);
    return this.#finish(inquiry, bytes, rcode, extendedError);
  }

  /** Cuts to size and adds the OPT record that belongs to a question that had one. */
  #finish(inquiry: Inquiry, bytes: Buffer, rcode = 0, extendedError?: ExtendedError): Buffer {
    const { edns, question, transport } = inquiry;
    const { udpPayloadBytes } = this.#options.config;
    const opt =
      edns === null
        ? undefined
        : { payloadBytes: udpPayloadBytes, dnssecOk: edns.dnssecOk, extendedRcode: rcode >> 4, extendedError };
    const limit = transport === 'tcp' ? 65_535 : Math.min(edns?.payloadBytes ?? PLAIN_PAYLOAD_BYTES, udpPayloadBytes);
    const fitting = fitTo(bytes, question?.end ?? HEADER_BYTES, limit - (opt === undefined ? 0 : optReplyBytes(opt)));
    return opt === undefined ? fitting : withOpt(fitting, opt);
  }
}

function lookUp(book: NameBook, asker: Asker, name: string): NameAnswer {
  if (name.startsWith('_')) return answerServicePort(book, asker, name);
  if (name.endsWith('.arpa')) return answerAddress(book, asker, name);
  return answerName(book, asker, name);
}

/** Undefined when dns2 finds anything wrong with it: it keeps what it could read and says so beside it. */
function parse(message: Buffer): Packet | undefined {
  try {
    const request = Dns.parse(message);
    return request.errors.length > 0 || request.questions.length !== 1 ? undefined : request;
  } catch {
    return undefined;
  }
}

function ednsOf(opt: Packet['additionals'][number] | undefined): Edns | null {
  if (opt === undefined) return null;
  return {
    payloadBytes: Math.max(opt.class, PLAIN_PAYLOAD_BYTES),
    version: opt.version ?? 0,
    dnssecOk: opt.doFlag ?? false,
  };
}

function forwardedFlags(inquiry: Inquiry, answer: UpstreamAnswer): number {
  const asked = flagsOf(inquiry.message);
  const verified = (asked & AD) !== 0 || inquiry.edns?.dnssecOk === true ? flagsOf(answer.message) & AD : 0;
  const flags = (answerFlags(asked) & ~AA) | verified | (answer.rcode & 15);
  return answer.truncated ? flags | TC : flags;
}
