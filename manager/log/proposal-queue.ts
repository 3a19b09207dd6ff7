import type { CancelTimer, Clock } from '#common/clock.ts';
import { assert, SwarmError } from '#common/errors.ts';
import type { LogConfig } from './config.ts';
import type { LogPosition, ProposeOptions } from './log.ts';

export interface Proposal {
  readonly position: LogPosition;
  readonly data: Uint8Array;
  readonly ticket: object | undefined;
}

interface Entry extends Proposal {
  readonly cancelTimer: CancelTimer;
  readonly resolve: (position: LogPosition) => void;
  readonly reject: (error: SwarmError) => void;
}

/** Proposals that are in the log and not applied yet, in order. Bounded in number and bytes. */
export class ProposalQueue {
  readonly #clock: Clock;
  readonly #config: LogConfig;
  #entries: Entry[] = [];
  /** Entries before this were taken: shifting an array one by one is slow when it is long. */
  #head = 0;
  #bytes = 0;

  constructor(clock: Clock, config: LogConfig) {
    this.#clock = clock;
    this.#config = config;
  }

  get size(): number {
    return this.#entries.length - this.#head;
  }

  /** Why a proposal cannot be taken now; undefined when it can. */
  refusal(data: Uint8Array): SwarmError | undefined {
    const { proposalBytes, waitingProposals, waitingBytes } = this.#config;
    if (data.length > proposalBytes)
      return new SwarmError({
        code: 'invalid',
        reason: 'too-large',
        limit: 'TRANSACTION_BYTES',
        message: `a proposal of ${data.length} bytes is larger than the log takes (${proposalBytes})`,
        hint: 'split the change into several',
      });
    if (this.size < waitingProposals && this.#bytes + data.length <= waitingBytes) return undefined;
    return new SwarmError({
      code: 'exhausted',
      reason: 'too-many',
      message: `${this.size} proposals (${this.#bytes} bytes) already wait for the disk`,
      hint: 'try again in a moment; when this lasts, the disk of the state directory is too slow',
    });
  }

  /** Resolves when the proposal is settled; rejects with `timeout` before that, leaving it in the queue. */
  add(position: LogPosition, data: Uint8Array, options: ProposeOptions): Promise<LogPosition> {
    return new Promise((resolve, reject) => {
      const cancelTimer = this.#clock.setTimer(options.timeoutMs, () => reject(timedOut(options.timeoutMs)));
      this.#entries.push({ position, data, ticket: options.ticket, cancelTimer, resolve, reject });
      this.#bytes += data.length;
    });
  }

  /** The oldest proposal, which must exist. */
  next(): Proposal {
    const entry = this.#entries[this.#head];
    assert(entry !== undefined, 'a committed entry has its proposal');
    return entry;
  }

  /** Resolves the oldest proposal, which must be this one, and takes it out. */
  settle(proposal: Proposal): void {
    const entry = this.#entries[this.#head];
    assert(entry === proposal, 'proposals are settled in order');
    this.#head++;
    this.#bytes -= entry.data.length;
    if (this.#head >= 1024 || this.#head === this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    entry.cancelTimer();
    entry.resolve(entry.position);
  }

  rejectAll(error: SwarmError): void {
    const rest = this.#entries.slice(this.#head);
    this.#entries = [];
    this.#head = 0;
    this.#bytes = 0;
    for (const entry of rest) {
      entry.cancelTimer();
      entry.reject(error);
    }
  }
}

function timedOut(timeoutMs: number): SwarmError {
  return new SwarmError({
    code: 'deadline',
    reason: 'timeout',
    message: `the change was not durable within ${timeoutMs} ms; it may still come into effect`,
    hint: 'look whether it did before trying again; when this lasts, the disk of the state directory is too slow',
  });
}
