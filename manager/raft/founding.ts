import { confState } from 'raft-ts';
import { SwarmError } from '#common/errors.ts';
import type { Random } from '#common/random.ts';
import { RaftIdentity, RaftMember } from '#gen/swarm/v1/raft.ts';
import type { SnapshotFiles, Wal } from '#manager/log/index.ts';
import { newRaftId } from './member-changes.ts';
import type { Recovered } from './recovery.ts';
import { encodeSnapshotHeader, hardStateRecord, identityRecord, markRecord } from './wal-records.ts';

/** Every log begins with a snapshot at this place, which says who its first member is and holds nothing else. */
const FIRST = { index: 1, term: 1 };

export type NewSelf = Omit<RaftMember, 'raftId'>;

type Begin = Recovered & { readonly identity: RaftIdentity };

/** Makes a log whose only member is this one. */
export async function foundLog(wal: Wal, files: SnapshotFiles, random: Random, self: NewSelf): Promise<Begin> {
  const member = RaftMember.create({ ...self, raftId: newRaftId(random) });
  const identity = RaftIdentity.create({ raftId: member.raftId, nodeId: member.nodeId });
  // What an attempt that was interrupted has left.
  await files.prune(0, 0);
  const header = encodeSnapshotHeader({
    confState: confState({ voters: [member.raftId] }),
    members: [member],
    removed: [],
  });
  await files.write(FIRST, wal.logId, [header]);
  const hardState = { term: FIRST.term, vote: 0, commit: FIRST.index };
  await wal.append([identityRecord(identity), markRecord(FIRST), hardStateRecord(hardState)]);
  return { wal, identity, snapshot: FIRST, hardState, entries: [] };
}

/** Makes an empty log for a member that the leader has added; the state comes from the leader. */
export async function joinLog(recovered: Recovered, identity: RaftIdentity): Promise<Begin> {
  await recovered.wal.append([identityRecord(identity)]);
  return { ...recovered, identity };
}

export function alreadyFounded(directory: string): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'already-in-swarm',
    message: `${directory} holds the log of a swarm already`,
    hint: 'leave that swarm first (`swarm leave --force`), or use another state directory',
  });
}

export function wiped(directory: string): SwarmError {
  return new SwarmError({
    code: 'data-loss',
    reason: 'corrupt-state',
    message: `${directory} holds no log, but this node is a manager: its state directory was wiped, in whole or in part`,
    hint:
      'restore the state directory from a backup; or, when other managers run, demote this node there (`swarm node demote`), ' +
      'remove its state directory and let it join again; or restore a snapshot of the swarm (`swarm snapshot restore`)',
  });
}

export function foreign(directory: string, expected: string, found: string): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'corrupt-state',
    message: `${directory} holds the log of node ${found}, but this is node ${expected}`,
    hint: 'give every node a state directory of its own, and never copy one',
  });
}
