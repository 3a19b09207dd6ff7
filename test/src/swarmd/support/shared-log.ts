import { SwarmError } from '#common/errors.ts';
import type { ManagerMember } from '#manager/control/index.ts';
import type { Log, LogPosition, LogStatus, ProposeOptions, StateMachine, WaitOptions } from '#manager/log/index.ts';
import type { LeadershipSource } from '#src/swarmd/leader-watch.ts';
import { MemoryLog } from '#test/fixtures/memory-log.ts';

interface Entry extends LogPosition {
  readonly data: Uint8Array;
  readonly ticket: object | undefined;
  readonly owner: MemberLog;
}

/** One log for several managers in a process, without disk and network. A test says who leads. */
export class SharedLog {
  readonly entries: Entry[] = [];
  readonly members: MemberLog[] = [];
  leader: MemberLog | undefined;
  term = 0;
  /** Called when an entry is committed, which nobody has applied yet. */
  onEntry: (count: number) => void = () => {};

  elect(leader: MemberLog | undefined): void {
    this.leader = leader;
    this.term++;
    // Who loses the lead hears of it first.
    for (const member of this.members) if (member !== leader) member.follow(leader);
    leader?.lead();
  }
}

/** A follower applies what is committed only when a reader needs it: what a test reads without a barrier is old. */
export class MemberLog extends MemoryLog implements Log, LeadershipSource {
  readonly nodeId: string;
  address = '';
  reachable = true;
  #appliedIndex = 0;
  #machine: StateMachine | undefined;
  readonly #shared: SharedLog;

  constructor(shared: SharedLog, nodeId: string) {
    super({ state: 'none' });
    this.#shared = shared;
    this.nodeId = nodeId;
    shared.members.push(this);
  }

  start(machine: StateMachine): Promise<void> {
    this.#machine = machine;
    return Promise.resolve();
  }

  async propose(data: Uint8Array, { ticket }: ProposeOptions): Promise<LogPosition> {
    if (this.leadership().state !== 'leader')
      throw new SwarmError({ code: 'unavailable', reason: 'not-leader', message: 'a follower' });
    const position = { index: this.#shared.entries.length + 1, term: this.#shared.term };
    this.#shared.entries.push({ ...position, data, ticket, owner: this });
    this.#shared.onEntry(this.#shared.entries.length);
    await new Promise((resolve) => setImmediate(resolve));
    this.catchUp();
    return position;
  }

  async readBarrier(_options: WaitOptions): Promise<number> {
    const problem = this.quorumProblem();
    if (problem !== undefined) throw problem;
    await new Promise((resolve) => setImmediate(resolve));
    this.catchUp();
    return this.#appliedIndex;
  }

  catchUp(): void {
    for (const entry of this.#shared.entries.slice(this.#appliedIndex)) {
      this.#appliedIndex = entry.index;
      this.#machine?.apply({ ...entry, ticket: entry.owner === this ? entry.ticket : undefined });
    }
  }

  lead(): void {
    this.catchUp();
    this.become({ state: 'leader', term: this.#shared.term });
  }

  follow(leader: MemberLog | undefined): void {
    this.become({ state: 'follower', term: this.#shared.term, leader: leader?.nodeId });
  }

  members(): readonly ManagerMember[] {
    return this.#shared.members.map((member) => ({
      nodeId: member.nodeId,
      address: member.address,
      voter: true,
      leader: this.#shared.leader === member,
      reachable: member.reachable,
    }));
  }

  quorumProblem(): SwarmError | undefined {
    if (this.#shared.leader !== undefined) return undefined;
    return new SwarmError({ code: 'unavailable', reason: 'no-quorum', message: 'nobody leads' });
  }

  protected override indexes(): Pick<LogStatus, 'committedIndex' | 'appliedIndex'> {
    return { committedIndex: this.#shared.entries.length, appliedIndex: this.#appliedIndex };
  }
}
