import type { Random } from '#common/random.ts';
import { RaftIdentity, type RaftMember } from '#gen/swarm/v1/raft.ts';
import type { SnapshotFiles } from '#manager/log/index.ts';
import { alreadyFounded, foreign, foundLog, joinLog, type NewSelf, wiped } from './founding.ts';
import type { Recovered } from './recovery.ts';

/** Where a member's log comes from. */
export type LogOrigin =
  /** A new log with this node as its only member; the directory must hold none. */
  | { readonly kind: 'found' }
  /**
   * A member of an existing log: `join` asks the leader to add this node. Not called again once the log's state is here;
   * an interrupted join before that asks once more, and the leader replaces the learner.
   */
  | { readonly kind: 'join'; readonly join: () => Promise<JoinedAs> }
  /** The log in the directory. */
  | { readonly kind: 'resume' };

export interface JoinedAs {
  readonly raftId: number;
  readonly members: readonly RaftMember[];
}

export interface BeginOptions {
  readonly origin: LogOrigin;
  readonly directory: string;
  readonly files: SnapshotFiles;
  readonly random: Random;
  readonly self: NewSelf;
  /** Rejects when there is no use in waiting for the leader's answer any more. */
  readonly stopped: Promise<never>;
}

export interface Begun {
  readonly recovered: Recovered & { readonly identity: RaftIdentity };
  /** The others, as far as a joiner was told of them. */
  readonly peers: readonly RaftMember[];
}

/** What was recovered, if it is what the origin says; else the beginning of a log. */
export async function beginLog(recovered: Recovered, options: BeginOptions): Promise<Begun> {
  const { origin, directory, files, random, self, stopped } = options;
  const { identity, snapshot } = recovered;
  // A join that was interrupted before the state came is begun again: neither side may know the other's address any more.
  const isHalfJoined = origin.kind === 'join' && snapshot.index === 0;
  if (identity !== undefined && !isHalfJoined) {
    if (origin.kind === 'found') throw alreadyFounded(directory);
    if (identity.nodeId !== self.nodeId) throw foreign(directory, self.nodeId, identity.nodeId);
    return { recovered: { ...recovered, identity }, peers: [] };
  }
  if (origin.kind === 'resume') throw wiped(directory);
  if (origin.kind === 'found') return { recovered: await foundLog(recovered.wal, files, random, self), peers: [] };
  const { raftId, members } = await Promise.race([origin.join(), stopped]);
  const joined = await joinLog(recovered, RaftIdentity.create({ raftId, nodeId: self.nodeId }));
  return { recovered: joined, peers: members };
}
