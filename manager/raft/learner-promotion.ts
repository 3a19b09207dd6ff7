import type { RawNode } from 'raft-ts';

/** A learner that has caught up so far that, as a voter, it would not hold up what is to be committed. */
export function promotable(node: RawNode, learners: readonly number[], lagEntries: number): number | undefined {
  if (learners.length === 0 || node.state !== 'StateLeader') return undefined;
  const { progress } = node.status();
  return learners.find((raftId) => {
    const member = progress.get(raftId);
    return (
      member?.isLearner === true &&
      member.recentActive &&
      member.state === 'StateReplicate' &&
      member.match + lagEntries >= node.committed
    );
  });
}
