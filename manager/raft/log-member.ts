import type { RaftMember } from '#gen/swarm/v1/raft.ts';
import type { RaftEngine } from './raft-engine.ts';

/** A member as this one sees it. */
export interface LogMember extends RaftMember {
  /** Learners follow, and do not count for the quorum. */
  readonly voter: boolean;
  readonly leader: boolean;
  readonly reachable: boolean;
  readonly self: boolean;
}

export function logMembers({ book, peers, pump }: RaftEngine): readonly LogMember[] {
  return book.members.map((member) => ({
    ...member,
    voter: book.isVoter(member.raftId),
    leader: pump.node.lead === member.raftId,
    reachable: peers.isReachable(member.raftId, pump.node),
    self: member.raftId === pump.node.id,
  }));
}
