/**
 * Answers to questions that were asked before, whole and ready to be sent: containers ask the same few names again and
 * again. A question is the same when all of its bytes are but its id, so that nothing of it has to be understood.
 */
import { type Random, randomInt } from '#common/random.ts';
import { HEADER_BYTES, read16, write16 } from './wire.ts';

const ID_BYTES = 2;
const FNV_START = 2_166_136_261;
const FNV_PRIME = 16_777_619;

/** Whom an answer is for, and what it was made from; it is an answer for as long as both are the same objects. */
export interface AnswerOwner {
  readonly asker: { readonly number: number };
  readonly stamp: object;
}

/** Where the records of an answer stand whose order is to be random; all are of one size, with the address at the end. */
export interface RecordRun {
  readonly start: number;
  readonly recordBytes: number;
  readonly addressBytes: number;
  readonly count: number;
}

interface KeptAnswer extends AnswerOwner {
  readonly question: Uint8Array;
  readonly answer: Buffer;
  readonly run: RecordRun;
}

/** Invariant: a place for each hash, so that it never holds more than `places` answers; the newer one takes it. */
export class AnswerMemory {
  readonly #kept: (KeptAnswer | undefined)[];
  readonly #random: Random;

  /** @param places a power of two */
  constructor(places: number, random: Random) {
    this.#kept = Array.from({ length: places }, () => undefined);
    this.#random = random;
  }

  /**
   * The answer to the first `length` bytes of `message`, with its id and with its records in another order than the last
   * time. It is written over by the next call.
   */
  find(message: Uint8Array, length: number, asker: AnswerOwner['asker'], stamp: object): Buffer | undefined {
    const kept = this.#kept[this.#placeOf(message, length, asker)];
    if (kept === undefined || kept.stamp !== stamp || kept.asker !== asker) return undefined;
    const { question, answer, run } = kept;
    if (question.length !== length) return undefined;
    for (let index = ID_BYTES; index < length; index++) if (question[index] !== message[index]) return undefined;
    write16(answer, 0, read16(message, 0));
    if (run.count > 1) shuffle(answer, run, this.#random);
    return answer;
  }

  /** Keeps a copy of both. */
  keep(message: Uint8Array, answer: Uint8Array, run: RecordRun, { asker, stamp }: AnswerOwner): void {
    if (message.length < HEADER_BYTES) return;
    const place = this.#placeOf(message, message.length, asker);
    this.#kept[place] = { asker, stamp, question: Uint8Array.from(message), answer: Buffer.from(answer), run };
  }

  #placeOf(message: Uint8Array, length: number, { number }: AnswerOwner['asker']): number {
    let hash = FNV_START ^ number;
    for (let index = ID_BYTES; index < length; index++) hash = Math.imul(hash ^ (message[index] ?? 0), FNV_PRIME);
    return (hash ^ (hash >>> 15)) & (this.#kept.length - 1);
  }
}

/** Only the addresses differ between the records. */
function shuffle(answer: Uint8Array, { start, recordBytes, addressBytes, count }: RecordRun, random: Random): void {
  const first = start + recordBytes - addressBytes;
  for (let last = count - 1; last > 0; last--) {
    const one = first + last * recordBytes;
    const other = first + randomInt(random, last + 1) * recordBytes;
    for (let byte = 0; byte < addressBytes; byte++) {
      const moved = answer[one + byte] ?? 0;
      answer[one + byte] = answer[other + byte] ?? 0;
      answer[other + byte] = moved;
    }
  }
}
