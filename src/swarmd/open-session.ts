/** The beginning of an agent's session, over the wire or within the process: at the leader, or a redirect to it. */
import { systemClock } from '#common/system/clock.ts';
import type { AgentHello } from '#gen/swarm/v1/dispatcher.ts';
import { type DispatcherSession, redirectAgent, type SessionOutput } from '#manager/dispatcher/index.ts';
import type { ServingManager } from './handlers/manager-access.ts';
import type { Leader } from './leader-watch.ts';

/** Less than an agent waits for its welcome. Longer than an election: agents that are kept waiting do not knock again. */
const LEADER_WAIT_MS = 3_000;

/**
 * Opens the session when this manager leads. Otherwise waits for a leader, so that agents need not look for it by trial,
 * names it and ends the stream: the answer is undefined then.
 */
export async function openSession(
  manager: ServingManager,
  nodeId: string,
  hello: AgentHello,
  address: string,
  output: SessionOutput,
  signal: AbortSignal,
): Promise<DispatcherSession | undefined> {
  const { leaderCalls, dispatcher, store } = manager;
  let leader: Leader | undefined;
  try {
    const found = await leaderCalls.watch.leaderUntil(systemClock.monotonic() + LEADER_WAIT_MS, signal);
    // Who is told that it was removed gives up what it runs: only a manager that surely leads may say so.
    if (found.kind === 'self' && store.view().get('node', nodeId) === undefined) await store.readBarrier();
    leader = found;
  } catch {
    // No leader in time: the agent tries the others.
  }
  if (signal.aborted) return undefined;
  if (leader?.kind === 'self' && leaderCalls.leading) return dispatcher.open(nodeId, hello, address, output);
  const elsewhere = leader?.kind === 'other' ? { nodeId: leader.nodeId, address: leader.address } : undefined;
  redirectAgent(output, manager.managers(), elsewhere);
  return undefined;
}
