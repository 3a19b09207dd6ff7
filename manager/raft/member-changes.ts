import { type ConfChangeType, confChange } from 'raft-ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { type Random, randomInt } from '#common/random.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { RaftMember, RaftMemberChange } from '#gen/swarm/v1/raft.ts';
import type { LogPosition, ProposeOptions, WaitOptions } from '#manager/log/index.ts';
import type { MembersBook } from './members-book.ts';
import { notLeader } from './proposals.ts';
import type { Pump } from './pump.ts';
import { quorumOf, wouldBreakQuorum } from './quorum-problem.ts';

export interface MemberChangesOptions {
  readonly pump: Pump;
  readonly book: MembersBook;
  readonly clock: Clock;
  readonly random: Random;
  readonly isLeader: () => boolean;
  readonly isReachable: (raftId: number) => boolean;
  readonly track: (position: LogPosition, options: ProposeOptions) => Promise<LogPosition>;
}

export interface NewMember {
  readonly nodeId: string;
  readonly address: string;
  readonly featureLevel: number;
}

interface Change {
  readonly type: ConfChangeType;
  readonly raftId: number;
  readonly member?: RaftMember;
}

/** Changes of members, on the leader: one at a time, each waited for until it is applied here. */
export class MemberChanges {
  readonly #options: MemberChangesOptions;
  /** The last change that was asked for. Never rejects. */
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(options: MemberChangesOptions) {
    this.#options = options;
  }

  /** A change is under way or waits. */
  get isBusy(): boolean {
    return this.#waiting > 0;
  }

  /** Adds a learner under a new id; see `RaftLog.addMember`. */
  add({ nodeId, address, featureLevel }: NewMember, wait: WaitOptions): Promise<RaftMember> {
    return this.#inTurn(wait, async (deadlineMs) => {
      const { book } = this.#options;
      const known = book.memberOfNode(nodeId);
      if (known !== undefined && book.isVoter(known.raftId)) throw wipedMember(known);
      // It comes again with an empty log: what it was as a learner is of no use to it.
      if (known !== undefined) await this.#make({ type: 'ConfChangeRemoveNode', raftId: known.raftId }, deadlineMs);
      const member = RaftMember.create({ raftId: this.#newRaftId(), nodeId, address, featureLevel });
      await this.#make({ type: 'ConfChangeAddLearnerNode', raftId: member.raftId, member }, deadlineMs);
      return member;
    });
  }

  /** See `RaftLog.removeMember`. */
  remove(raftId: number, wait: WaitOptions): Promise<void> {
    return this.#inTurn(wait, async (deadlineMs) => {
      const { book, pump, isReachable } = this.#options;
      const member = book.member(raftId);
      if (member === undefined) throw unknownMember(raftId);
      if (raftId === pump.node.id) throw removesItself();
      const staying = book.voters.filter((id) => id !== raftId);
      const reachable = staying.filter(isReachable).length;
      if (book.isVoter(raftId) && reachable < quorumOf(staying.length))
        throw wouldBreakQuorum(member.address, staying.length, reachable);
      await this.#make({ type: 'ConfChangeRemoveNode', raftId }, deadlineMs);
    });
  }

  /** Writes what is known about a member anew. */
  update(member: RaftMember, wait: WaitOptions): Promise<void> {
    return this.#inTurn(wait, async (deadlineMs) => {
      if (this.#options.book.member(member.raftId) === undefined) throw unknownMember(member.raftId);
      await this.#make({ type: 'ConfChangeUpdateNode', raftId: member.raftId, member }, deadlineMs);
    });
  }

  /** Makes a voter of a learner. */
  promote(raftId: number, wait: WaitOptions): Promise<void> {
    return this.#inTurn(wait, (deadlineMs) => this.#make({ type: 'ConfChangeAddNode', raftId }, deadlineMs));
  }

  /** Runs the work once those before it are done. */
  async #inTurn<T>(wait: WaitOptions, work: (deadlineMs: number) => Promise<T>): Promise<T> {
    const { clock, isLeader } = this.#options;
    if (!isLeader()) throw notLeader();
    const deadlineMs = clock.monotonic() + wait.timeoutMs;
    const before = this.#last;
    let finish = (): void => {};
    this.#last = new Promise((resolve) => {
      finish = resolve;
    });
    this.#waiting++;
    try {
      await withDeadline(before, wait.timeoutMs, 'another change of managers', clock);
      return await work(deadlineMs);
    } finally {
      this.#waiting--;
      // Who gave up while waiting leaves the one before under way.
      void before.then(finish);
    }
  }

  /** Proposes until the change is applied: one that comes too early becomes an empty entry. */
  async #make({ type, raftId, member }: Change, deadlineMs: number): Promise<void> {
    const { pump, book, clock, track, isLeader } = this.#options;
    const context = member === undefined ? NOTHING : RaftMemberChange.encode({ members: [member] });
    const change = confChange([{ type, nodeId: raftId }], { context });
    for (;;) {
      const timeoutMs = deadlineMs - clock.monotonic();
      if (timeoutMs <= 0) throw timedOut();
      if (!isLeader()) throw notLeader();
      let position: LogPosition | undefined;
      pump.step((node) => {
        if (node.proposeConfChange(change) === undefined) position = { index: node.lastIndex, term: node.term };
      });
      if (position === undefined) throw notLeader();
      const { index } = await track(position, { timeoutMs });
      if (book.changedIndex === index) return;
    }
  }

  #newRaftId(): number {
    const { book, random } = this.#options;
    for (;;) {
      const raftId = newRaftId(random);
      if (book.member(raftId) === undefined && !book.wasRemoved(raftId)) return raftId;
    }
  }
}

const NOTHING = new Uint8Array(0);

/** An id for a member: 1 to 2^52, so that none is ever drawn twice. */
export function newRaftId(random: Random): number {
  return 1 + randomInt(random, 2 ** 20) * 2 ** 32 + randomInt(random, 2 ** 32);
}

function wipedMember({ address, nodeId }: RaftMember): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'wiped-member',
    message: `node ${nodeId} is a manager of this swarm already (${address}), but comes with an empty log: its state directory was lost`,
    hint: `demote the node (\`swarm node demote ${nodeId}\`), then promote it again: it joins as a new manager`,
  });
}

function unknownMember(raftId: number): SwarmError {
  return new SwarmError({
    code: 'not-found',
    reason: 'unknown-object',
    message: `there is no manager with the id ${raftId} in the log`,
  });
}

function removesItself(): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'in-use',
    message: 'the leader cannot be removed from the managers while it leads',
    hint: 'let another manager lead first',
  });
}

function timedOut(): SwarmError {
  return new SwarmError({
    code: 'deadline',
    reason: 'timeout',
    message: 'the change of managers was not agreed in time; it may still come into effect',
    hint: 'look at `swarm node ls` before trying again',
  });
}
