import type { RawNode } from 'raft-ts';
import { SwarmError } from '#common/errors.ts';
import type { WaitOptions } from '#manager/log/index.ts';
import { notLeader } from './proposals.ts';
import type { RaftEngine } from './raft-engine.ts';

/** The voter that has most of the log, of those that answer; undefined when none does. */
export function bestSuccessor(node: RawNode, isReachable: (raftId: number) => boolean): number | undefined {
  let best: number | undefined;
  let bestMatch = 0;
  for (const [raftId, { match, isLearner, recentActive }] of node.status().progress) {
    if (raftId === node.id || isLearner || !recentActive || match <= bestMatch || !isReachable(raftId)) continue;
    best = raftId;
    bestMatch = match;
  }
  return best;
}

/** Lets another voter lead; resolves once one does. See `RaftLog.transferLeadership`. */
export async function handOver(
  engine: RaftEngine,
  { to, timeoutMs }: WaitOptions & { readonly to?: number },
): Promise<void> {
  const { pump, peers, waiters, leadership, book } = engine;
  const { node } = pump;
  if (leadership.current.state !== 'leader') throw notLeader();
  if (to !== undefined && (to === node.id || !book.isVoter(to))) throw noSuccessor();
  if (to === undefined && bestSuccessor(node, (id) => peers.isReachable(id, node)) === undefined) throw noSuccessor();
  const ask = (): void => {
    // The node gives up after an election timeout; another may be better then.
    const next = to ?? bestSuccessor(node, (id) => peers.isReachable(id, node));
    if (next !== undefined) pump.step((leader) => leader.transferLeader(next));
  };
  ask();
  const isDone = (): boolean => {
    if (node.state === 'StateLeader' && node.status().leadTransferee === 0) ask();
    return node.state !== 'StateLeader' && node.lead !== 0;
  };
  await waiters.until(isDone, { timeoutMs, what: 'another manager to lead' });
}

function noSuccessor(): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'no-quorum',
    message: 'no other manager can take over the lead',
    hint: 'bring another manager back, or promote a node (`swarm node promote`), and try again',
  });
}
