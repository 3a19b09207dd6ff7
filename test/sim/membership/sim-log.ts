/** The log's members in the simulation, by the rules of the log: changes need a quorum, and leave one. */
import { SwarmError } from '#common/errors.ts';
import type { RoleMember } from '#manager/roles/index.ts';

export interface SimMember {
  readonly raftId: number;
  readonly nodeId: string;
  voter: boolean;
}

export class SimLog {
  readonly #isReachable: (nodeId: string) => boolean;
  #members: SimMember[] = [];
  #leader: string | undefined;
  #lastRaftId = 0;

  constructor(isReachable: (nodeId: string) => boolean) {
    this.#isReachable = isReachable;
  }

  found(nodeId: string): number {
    const raftId = ++this.#lastRaftId;
    this.#members = [{ raftId, nodeId, voter: true }];
    return raftId;
  }

  get all(): readonly SimMember[] {
    return this.#members;
  }

  has(nodeId: string): boolean {
    return this.#members.some((member) => member.nodeId === nodeId);
  }

  /** Of more than half of the voters. */
  get hasQuorum(): boolean {
    const voters = this.#members.filter(({ voter }) => voter);
    return voters.filter(({ nodeId }) => this.#isReachable(nodeId)).length > voters.length / 2;
  }

  /** The node that leads; undefined without a quorum. */
  get leader(): string | undefined {
    if (!this.hasQuorum) return undefined;
    const able = this.#members.filter(({ voter, nodeId }) => voter && this.#isReachable(nodeId));
    if (!able.some(({ nodeId }) => nodeId === this.#leader)) this.#leader = able[0]?.nodeId;
    return this.#leader;
  }

  handOver(): void {
    const before = this.leader;
    const next = this.#members.find(({ voter, nodeId }) => voter && nodeId !== before && this.#isReachable(nodeId));
    if (next !== undefined) this.#leader = next.nodeId;
  }

  /** As the leader sees them. */
  view(): readonly RoleMember[] {
    const { leader } = this;
    return this.#members.map((member) => ({
      ...member,
      reachable: this.#isReachable(member.nodeId),
      self: member.nodeId === leader,
    }));
  }

  /** A learner under a new id; one of the same node is replaced. @throws SwarmError `wiped-member` for a voter */
  add(nodeId: string): number {
    const known = this.#members.find((member) => member.nodeId === nodeId);
    if (known?.voter === true)
      throw new SwarmError({ code: 'precondition', reason: 'wiped-member', message: `${nodeId} is a voter` });
    const raftId = ++this.#lastRaftId;
    this.#members = [...this.#members.filter((member) => member !== known), { raftId, nodeId, voter: false }];
    return raftId;
  }

  promote(raftId: number): void {
    this.#members = this.#members.map((member) => (member.raftId === raftId ? { ...member, voter: true } : member));
  }

  remove(raftId: number): void {
    this.#members = this.#members.filter((member) => member.raftId !== raftId);
  }
}
