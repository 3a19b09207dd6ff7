/**
 * A log of several members without a network or a disk, that does to its users everything a Raft log may do: it commits
 * late, loses the tail of what a deposed leader had, refuses proposals now and then, lets waits run out while the entry
 * lives on, and brings members that fell behind up by a snapshot.
 */
import { SwarmError } from '#common/errors.ts';
import type { Log, LogPosition, LogStatus, ProposeOptions, StateMachine, WaitOptions } from '#manager/log/index.ts';
import { MemoryLog } from '#test/fixtures/memory-log.ts';

interface Proposal {
  readonly data: Uint8Array;
  readonly ticket: object | undefined;
  readonly resolve: (position: LogPosition) => void;
  readonly reject: (error: SwarmError) => void;
}

interface Entry {
  readonly term: number;
  readonly data: Uint8Array;
  readonly owner: Member;
  readonly proposal: Proposal;
}

export function logError(reason: 'not-leader' | 'too-many' | 'timeout' | 'leadership-lost'): SwarmError {
  return new SwarmError({ code: reason === 'timeout' ? 'deadline' : 'unavailable', reason, message: reason });
}

export class SimulatedCluster {
  readonly members: Member[];
  readonly committed: Entry[] = [];
  /** In the leader's log only. */
  uncommitted: Entry[] = [];
  leader: Member;
  term = 1;

  constructor(size: number) {
    this.members = Array.from({ length: size }, () => new Member(this));
    this.leader = this.members[0] as Member;
  }

  commit(count: number): void {
    this.committed.push(...this.uncommitted.splice(0, count));
  }

  /** The oldest proposal vanishes on its way, and its writer waits in vain. */
  lose(): void {
    this.uncommitted.shift()?.proposal.reject(logError('timeout'));
  }

  /** The old leader's log survives up to some entry; what is behind is lost, and nobody there knows where that is. */
  elect(next: Member, survivors: number): void {
    this.commit(survivors);
    const old = this.leader;
    old.become({ state: 'follower', term: this.term + 1, leader: undefined });
    for (const { proposal } of [...this.committed, ...this.uncommitted]) proposal.reject(logError('leadership-lost'));
    this.uncommitted = [];
    this.term++;
    this.leader = next;
    // A leader is one only when it has applied everything of the terms before.
    next.applyUpTo(this.committed.length);
    next.become({ state: 'leader', term: this.term });
  }
}

export class Member extends MemoryLog implements Log {
  readonly #cluster: SimulatedCluster;
  #machine: StateMachine | undefined;
  appliedIndex = 0;
  /** The next proposal is not taken. */
  refuseNext = false;

  constructor(cluster: SimulatedCluster) {
    super({ state: 'none' });
    this.#cluster = cluster;
  }

  start(machine: StateMachine): Promise<void> {
    this.#machine = machine;
    const { leader, term } = this.#cluster;
    this.become(leader === this ? { state: 'leader', term } : { state: 'follower', term, leader: undefined });
    return Promise.resolve();
  }

  propose(data: Uint8Array, options: ProposeOptions): Promise<LogPosition> {
    if (this.leadership().state !== 'leader') return Promise.reject(logError('not-leader'));
    if (this.refuseNext) {
      this.refuseNext = false;
      return Promise.reject(logError('too-many'));
    }
    return new Promise((resolve, reject) => {
      const proposal = { data, ticket: options.ticket, resolve, reject };
      this.#cluster.uncommitted.push({ term: this.#cluster.term, data, owner: this, proposal });
    });
  }

  /** The waits of some proposals run out. */
  timeOut(every: number): void {
    this.#cluster.uncommitted.forEach(({ proposal }, position) => {
      if (position % every === 0) proposal.reject(logError('timeout'));
    });
  }

  applyUpTo(index: number): void {
    while (this.appliedIndex < Math.min(index, this.#cluster.committed.length)) {
      const entry = this.#cluster.committed[this.appliedIndex++] as Entry;
      const own = entry.owner === this && entry.term === this.#cluster.term;
      const position = { index: this.appliedIndex, term: entry.term };
      this.#machine?.apply({ ...position, data: entry.data, ticket: own ? entry.proposal.ticket : undefined });
      if (own) entry.proposal.resolve(position);
    }
  }

  /** Takes over the state of a member that is ahead. */
  async installSnapshotOf(other: Member): Promise<void> {
    if (other.appliedIndex <= this.appliedIndex) return;
    const index = other.appliedIndex;
    const chunks = [...(other.#machine?.snapshot() ?? [])];
    this.appliedIndex = index;
    async function* stream(): AsyncGenerator<Uint8Array> {
      yield* chunks;
    }
    await this.#machine?.restore({ index, term: this.#cluster.term }, stream());
  }

  async readBarrier(_options: WaitOptions): Promise<number> {
    return this.appliedIndex;
  }

  protected override indexes(): Pick<LogStatus, 'committedIndex' | 'appliedIndex'> {
    return { committedIndex: this.#cluster.committed.length, appliedIndex: this.appliedIndex };
  }
}
