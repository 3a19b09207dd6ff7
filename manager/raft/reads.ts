import type { RawNode, ReadState } from 'raft-ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { electionTimeoutMs, type RaftConfig } from './config.ts';

interface Reader {
  readonly cancelTimer: CancelTimer;
  readonly resolve: (appliedIndex: number) => void;
  readonly reject: (error: SwarmError) => void;
  isDone: boolean;
}

/** Readers that asked before the round was sent. */
interface Round {
  readonly context: Uint8Array;
  readonly readers: readonly Reader[];
  askedAtMs: number;
}

/**
 * Linearizable reads: a round asks the leader which index a read must have seen, for everybody who waits when it is sent.
 * One round is under way at a time; whoever comes meanwhile waits for the next.
 */
export class Reads {
  readonly #clock: Clock;
  readonly #config: RaftConfig;
  readonly #ask: (work: (node: RawNode) => void) => void;
  #appliedIndex = 0;
  #next: Reader[] = [];
  #round: Round | undefined;
  #rounds = 0;
  /** Readers whose index is known, and not applied yet. */
  #answered: { readonly index: number; readonly readers: readonly Reader[] }[] = [];
  #count = 0;

  constructor(clock: Clock, config: RaftConfig, ask: (work: (node: RawNode) => void) => void) {
    this.#clock = clock;
    this.#config = config;
    this.#ask = ask;
  }

  /** Resolves with an applied index from which a read is linearizable. */
  barrier(timeoutMs: number): Promise<number> {
    if (this.#count >= this.#config.waitingReads) return Promise.reject(tooMany(this.#count));
    return new Promise((resolve, reject) => {
      const reader: Reader = {
        cancelTimer: this.#clock.setTimer(timeoutMs, () => this.#reject(reader, timedOut(timeoutMs))),
        resolve,
        reject,
        isDone: false,
      };
      this.#count++;
      this.#next.push(reader);
      this.#begin();
    });
  }

  /** The leader has answered, this round or an earlier attempt at it. */
  answered(reads: readonly ReadState[]): void {
    for (const { index, context } of reads) {
      const round = this.#round;
      if (round === undefined || Buffer.compare(context, round.context) !== 0) continue;
      this.#round = undefined;
      if (index <= this.#appliedIndex) this.#serve(round.readers);
      else this.#answered.push({ index, readers: round.readers });
      this.#begin();
    }
  }

  applied(index: number): void {
    this.#appliedIndex = index;
    if (this.#answered.length === 0) return;
    const ready = this.#answered.filter((answer) => answer.index <= index);
    this.#answered = this.#answered.filter((answer) => answer.index > index);
    for (const { readers } of ready) this.#serve(readers);
  }

  /** Asks again when the answer does not come: the question or the answer was lost, or the leader was. */
  tick(): void {
    const round = this.#round;
    if (round !== undefined && this.#clock.monotonic() - round.askedAtMs >= electionTimeoutMs(this.#config))
      this.#send(round);
  }

  /** There is a leader, another than before: what was asked of the last one may not be answered. */
  leaderChanged(): void {
    if (this.#round !== undefined) this.#send(this.#round);
  }

  rejectAll(error: SwarmError): void {
    const readers = [...(this.#round?.readers ?? []), ...this.#next, ...this.#answered.flatMap((one) => one.readers)];
    this.#round = undefined;
    this.#next = [];
    this.#answered = [];
    for (const reader of readers) this.#reject(reader, error);
  }

  #begin(): void {
    if (this.#round !== undefined || this.#next.length === 0) return;
    const context = Buffer.alloc(8);
    context.writeBigUInt64LE(BigInt(++this.#rounds));
    const round = { context, readers: this.#next, askedAtMs: 0 };
    this.#next = [];
    this.#round = round;
    this.#send(round);
  }

  #send(round: Round): void {
    round.askedAtMs = this.#clock.monotonic();
    this.#ask((node) => node.readIndex(round.context));
  }

  #serve(readers: readonly Reader[]): void {
    for (const reader of readers) {
      if (!this.#finish(reader)) continue;
      reader.resolve(this.#appliedIndex);
    }
  }

  #reject(reader: Reader, error: SwarmError): void {
    if (this.#finish(reader)) reader.reject(error);
  }

  #finish(reader: Reader): boolean {
    if (reader.isDone) return false;
    reader.isDone = true;
    reader.cancelTimer();
    this.#count--;
    return true;
  }
}

function timedOut(timeoutMs: number): SwarmError {
  return new SwarmError({
    code: 'deadline',
    reason: 'timeout',
    message: `the leader did not confirm the read within ${timeoutMs} ms`,
    hint: 'try again in a moment; `swarm node ls` shows which managers are reachable',
  });
}

function tooMany(count: number): SwarmError {
  return new SwarmError({
    code: 'exhausted',
    reason: 'too-many',
    message: `${count} reads already wait for the leader`,
    hint: 'try again in a moment',
  });
}
