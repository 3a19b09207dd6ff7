import type { NodeId } from './types.ts';

export type VoteResult = 'VotePending' | 'VoteLost' | 'VoteWon';

/** What each voter has acknowledged; undefined where nothing is known. */
export type Acknowledged = (id: NodeId) => number | undefined;

/**
 * Voters of which more than half decide.
 * Guarantees, by `majority`: ascending, no repetition. Never changed in place.
 */
export type Majority = readonly NodeId[];

export function majority(ids: Iterable<NodeId>): Majority {
  return [...new Set(ids)].sort((a, b) => a - b);
}

/** How many make a quorum. */
export function quorumSize(voters: Majority): number {
  return Math.floor(voters.length / 2) + 1;
}

/**
 * The highest index that a quorum has acknowledged. Infinite without voters, so that an empty half of a joint
 * configuration decides nothing.
 */
export function committedIndex(voters: Majority, acknowledged: Acknowledged): number {
  if (voters.length === 0) return Infinity;
  const indexes = voters.map((id) => acknowledged(id) ?? 0).sort((a, b) => a - b);
  return indexes[voters.length - quorumSize(voters)] ?? 0;
}

/** The outcome of an election. Won without voters, for the same reason. */
export function voteResult(voters: Majority, votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  if (voters.length === 0) return 'VoteWon';
  let granted = 0;
  let missing = 0;
  for (const id of voters) {
    const vote = votes.get(id);
    if (vote === undefined) missing++;
    else if (vote) granted++;
  }
  const needed = quorumSize(voters);
  if (granted >= needed) return 'VoteWon';
  return granted + missing >= needed ? 'VotePending' : 'VoteLost';
}

/** Two majorities that both have to agree. Not joint while `outgoing` is empty. */
export interface JointQuorum {
  readonly incoming: Majority;
  readonly outgoing: Majority;
}

export function jointVoters(quorum: JointQuorum): Majority {
  return quorum.outgoing.length === 0 ? quorum.incoming : majority([...quorum.incoming, ...quorum.outgoing]);
}

export function isVoter(quorum: JointQuorum, id: NodeId): boolean {
  return quorum.incoming.includes(id) || quorum.outgoing.includes(id);
}

export function jointCommittedIndex(quorum: JointQuorum, acknowledged: Acknowledged): number {
  return Math.min(committedIndex(quorum.incoming, acknowledged), committedIndex(quorum.outgoing, acknowledged));
}

export function jointVoteResult(quorum: JointQuorum, votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  const incoming = voteResult(quorum.incoming, votes);
  const outgoing = voteResult(quorum.outgoing, votes);
  if (incoming === outgoing) return incoming;
  return incoming === 'VoteLost' || outgoing === 'VoteLost' ? 'VoteLost' : 'VotePending';
}

/** `(1 2 3)` */
export function describeMajority(voters: Majority): string {
  return `(${voters.join(' ')})`;
}

/** `(1 2 3)&&(1 2)`, or the incoming half alone when not joint. */
export function describeQuorum(quorum: JointQuorum): string {
  const incoming = describeMajority(quorum.incoming);
  return quorum.outgoing.length === 0 ? incoming : `${incoming}&&${describeMajority(quorum.outgoing)}`;
}

/** An index in words: `∞` where no voter limits it. */
export function describeIndex(index: number): string {
  return index === Infinity ? '∞' : String(index);
}
