import type { RawNode } from 'raft-ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { LogPosition, ProposeOptions } from '#manager/log/index.ts';
import { electionTimeoutMs, type RaftConfig } from './config.ts';

interface Proposal {
  readonly data: Uint8Array;
  readonly ticket: object | undefined;
  readonly sinceMs: number;
  readonly cancelTimer: CancelTimer;
  readonly resolve: (position: LogPosition) => void;
  readonly reject: (error: SwarmError) => void;
}

/** What was proposed in one term as leader and is not settled. */
interface Stint {
  readonly term: number;
  /** In the order of their indexes. */
  readonly waiting: { readonly index: number; readonly proposal: Proposal }[];
  /** Entries before this were taken: shifting an array one by one is slow when it is long. */
  head: number;
  /** When this member stopped leading in the term. */
  lostAtMs: number | undefined;
}

/**
 * Proposals of this member: those that are about to go into the log, and those that are in it and not applied. An index
 * and a term name an entry for good, so an entry of another term at the index means that the proposal is lost, and its
 * own that it is done; as long as neither is applied here, nobody knows.
 */
export class Proposals {
  readonly #clock: Clock;
  readonly #config: RaftConfig;
  #fresh: Proposal[] = [];
  #stints: Stint[] = [];
  /** Being applied. */
  #taken: Proposal | undefined;
  #count = 0;
  #bytes = 0;

  constructor(clock: Clock, config: RaftConfig) {
    this.#clock = clock;
    this.#config = config;
  }

  /** Proposals whose outcome is not known. */
  get size(): number {
    return this.#count;
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
    if (this.#count < waitingProposals && this.#bytes + data.length <= waitingBytes) return undefined;
    return tooMany(`${this.#count} proposals (${this.#bytes} bytes) already wait for the disk and the other managers`);
  }

  /** Resolves when the proposal is applied; rejects with `timeout` before that, leaving it in the log. */
  add(data: Uint8Array, options: ProposeOptions): Promise<LogPosition> {
    return new Promise((resolve, reject) => {
      this.#fresh.push(this.#proposal(data, options, resolve, reject));
    });
  }

  /** The same for an entry that is in the log already: a change of members. */
  track(position: LogPosition, options: ProposeOptions): Promise<LogPosition> {
    return new Promise((resolve, reject) => {
      this.#placed(position, this.#proposal(NOTHING, options, resolve, reject));
    });
  }

  /** Puts the fresh ones into the node's log, in as few messages as the limit of their size allows; returns how many. */
  submit(node: RawNode): number {
    const fresh = this.#fresh;
    if (fresh.length === 0) return 0;
    this.#fresh = [];
    for (let from = 0; from < fresh.length; ) {
      const batch: Proposal[] = [];
      let bytes = 0;
      for (; from < fresh.length; from++) {
        const proposal = fresh[from];
        if (proposal === undefined || (batch.length > 0 && bytes + proposal.data.length > this.#config.messageBytes))
          break;
        batch.push(proposal);
        bytes += proposal.data.length;
      }
      this.#submitBatch(node, batch);
    }
    return fresh.length;
  }

  #submitBatch(node: RawNode, batch: readonly Proposal[]): void {
    const leads = node.state === 'StateLeader';
    if (!leads || node.proposeAll(batch.map((proposal) => proposal.data)) !== undefined) {
      // A leader that hands over, or does not lead any more, or has too much that is not committed.
      const error =
        leads && !this.#isHandingOver(node) ? tooMany('too much waits for the other managers') : notLeader();
      for (const proposal of batch) this.#settleWith(proposal, error);
      return;
    }
    let index = node.lastIndex - batch.length;
    for (const proposal of batch) this.#placed({ index: ++index, term: node.term }, proposal);
  }

  #isHandingOver(node: RawNode): boolean {
    return node.status().leadTransferee !== 0;
  }

  /**
   * An entry is about to be applied. Returns the ticket and a way to tell the proposer, if it was proposed here; those
   * that other entries took the place of are told so.
   */
  take(index: number, term: number): { readonly ticket: object | undefined; readonly done: () => void } | undefined {
    let found: Proposal | undefined;
    for (const stint of this.#stints) {
      for (;;) {
        const next = stint.waiting[stint.head];
        if (next === undefined || next.index > index) break;
        stint.head++;
        if (next.index === index && stint.term === term) found = next.proposal;
        else if (next.index === index) this.#settleWith(next.proposal, notLeader());
        else this.#settleWith(next.proposal, leadershipLost());
      }
      if (stint.head >= 1024 || stint.head === stint.waiting.length) {
        stint.waiting.splice(0, stint.head);
        stint.head = 0;
      }
    }
    this.#dropEmpty();
    if (found === undefined) return undefined;
    const proposal = found;
    this.#taken = proposal;
    return { ticket: proposal.ticket, done: () => this.#applied(proposal, { index, term }) };
  }

  /** A snapshot covers everything up to the index: what became of proposals there cannot be told. */
  covered(index: number): void {
    for (const stint of this.#stints) {
      while ((stint.waiting[stint.head]?.index ?? Infinity) <= index) {
        const next = stint.waiting[stint.head++];
        if (next !== undefined) this.#settleWith(next.proposal, leadershipLost());
      }
    }
    this.#dropEmpty();
  }

  /** This member does not lead any more. The fresh ones never enter the log; the others wait for what becomes known. */
  leadershipLost(): void {
    const now = this.#clock.monotonic();
    for (const stint of this.#stints) stint.lostAtMs ??= now;
    for (const proposal of this.#fresh.splice(0)) this.#settleWith(proposal, notLeader());
  }

  /**
   * Tells those that have waited long enough since the leadership was lost. `problem` is why there is no leader now;
   * then waiting any longer than they have waited as a whole helps nobody.
   */
  tick(problem: SwarmError | undefined): void {
    const now = this.#clock.monotonic();
    const patienceMs = 2 * electionTimeoutMs(this.#config);
    for (const stint of this.#stints) {
      if (stint.lostAtMs === undefined) continue;
      for (;;) {
        const next = stint.waiting[stint.head];
        if (next === undefined) break;
        const sinceMs = problem === undefined ? stint.lostAtMs : Math.min(stint.lostAtMs, next.proposal.sinceMs);
        if (now - sinceMs < patienceMs) break;
        stint.head++;
        this.#settleWith(next.proposal, leadershipLost(problem));
      }
    }
    this.#dropEmpty();
  }

  rejectAll(error: SwarmError): void {
    if (this.#taken !== undefined) this.#settleWith(this.#taken, error);
    this.#taken = undefined;
    const stints = this.#stints;
    this.#stints = [];
    for (const { waiting, head } of stints)
      for (const { proposal } of waiting.slice(head)) this.#settleWith(proposal, error);
    for (const proposal of this.#fresh.splice(0)) this.#settleWith(proposal, error);
  }

  #proposal(
    data: Uint8Array,
    { ticket, timeoutMs }: ProposeOptions,
    resolve: (position: LogPosition) => void,
    reject: (error: SwarmError) => void,
  ): Proposal {
    this.#count++;
    this.#bytes += data.length;
    const cancelTimer = this.#clock.setTimer(timeoutMs, () => reject(timedOut(timeoutMs)));
    return { data, ticket, sinceMs: this.#clock.monotonic(), cancelTimer, resolve, reject };
  }

  #placed({ index, term }: LogPosition, proposal: Proposal): void {
    let stint = this.#stints.at(-1);
    if (stint?.term !== term) {
      stint = { term, waiting: [], head: 0, lostAtMs: undefined };
      this.#stints.push(stint);
    }
    stint.waiting.push({ index, proposal });
  }

  #applied(proposal: Proposal, position: LogPosition): void {
    this.#taken = undefined;
    this.#forget(proposal);
    proposal.resolve(position);
  }

  #settleWith(proposal: Proposal, error: SwarmError): void {
    this.#forget(proposal);
    proposal.reject(error);
  }

  #forget(proposal: Proposal): void {
    this.#count--;
    this.#bytes -= proposal.data.length;
    proposal.cancelTimer();
  }

  #dropEmpty(): void {
    if (this.#stints.length > 1 || this.#stints[0]?.lostAtMs !== undefined)
      this.#stints = this.#stints.filter(({ waiting, head }) => head < waiting.length);
  }
}

const NOTHING = new Uint8Array(0);

function timedOut(timeoutMs: number): SwarmError {
  return new SwarmError({
    code: 'deadline',
    reason: 'timeout',
    message: `the change was not durable on a majority of the managers within ${timeoutMs} ms; it may still come into effect`,
    hint: 'look whether it did before trying again; when this lasts, a disk or the network between managers is too slow',
  });
}

function tooMany(message: string): SwarmError {
  return new SwarmError({
    code: 'exhausted',
    reason: 'too-many',
    message,
    hint: 'try again in a moment; when this lasts, the disk of a state directory or the network is too slow',
  });
}

/** The proposal certainly did not, and will not, come into effect. */
export function notLeader(): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'not-leader',
    message: 'this manager does not lead the swarm',
    hint: 'ask the leader, or try again in a moment',
  });
}

function leadershipLost(problem?: SwarmError): SwarmError {
  const why = problem === undefined ? '' : `; ${problem.message}`;
  return new SwarmError({
    code: 'unavailable',
    reason: 'leadership-lost',
    message: `this manager stopped leading the swarm before the change was agreed; it may still come into effect${why}`,
    hint: problem?.hint ?? 'look whether the change came into effect before trying again',
  });
}
