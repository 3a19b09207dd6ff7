/** Linearizable reads without a log entry (thesis 6.4): ReadIndex, and leases as a shortcut. */
import type { Core } from './core.ts';
import type { Message } from './message.ts';
import { decodeHeartbeatContext, encodeHeartbeatContext } from './pending-reads.ts';
import { jointCommittedIndex } from './quorum.ts';
import { NO_DATA } from './types.ts';

export function broadcastHeartbeat(core: Core): void {
  const context = encodeHeartbeatContext({
    readPosition: core.reads.lastPosition(),
    tick: core.config.readOnly === 'leaseBased' ? core.ticks : 0,
  });
  core.forEachPeer((id, progress) => {
    // A follower may lack what is committed: it must not be told of more than it is known to have.
    const commit = Math.min(progress.match, core.log.committed);
    core.send({ type: 'MsgHeartbeat', to: id, commit, context });
    progress.sentCommitIndex(commit);
  });
}

/** A leader takes a read request, its own or forwarded by a follower. */
export function handleReadRequest(core: Core, request: Message): void {
  // Before the first commit of its term a leader may not know the newest commit index; not even alone, after a restart.
  if (!core.committedEntryInCurrentTerm()) {
    core.earlyReads.push(request);
    return;
  }
  const index = core.log.committed;
  if (core.tracker.isSingleton() && core.tracker.voters()[0] === core.id) answer(core, request, index);
  else if (core.config.readOnly === 'leaseBased' && holdsLease(core)) answer(core, request, index);
  else {
    core.reads.add({ request, index });
    core.reads.acknowledge(core.id, core.reads.lastPosition());
    broadcastHeartbeat(core);
  }
}

/** The first entry of the term is committed: the requests that waited for it can be taken. */
export function releaseEarlyReads(core: Core): void {
  if (core.earlyReads.length === 0 || !core.committedEntryInCurrentTerm()) return;
  const waiting = core.earlyReads;
  core.earlyReads = [];
  for (const request of waiting) handleReadRequest(core, request);
}

/** A follower has answered a heartbeat. */
export function handleReadAcknowledgement(core: Core, response: Message): void {
  const { readPosition, tick } = decodeHeartbeatContext(response.context);
  if (tick > 0) core.leaseTicks.set(response.from, Math.max(tick, core.leaseTicks.get(response.from) ?? 0));
  if (readPosition === 0) return;
  core.reads.acknowledge(response.from, readPosition);
  for (const { request, index } of core.reads.confirmed(core.tracker.configuration.voters))
    answer(core, request, index);
}

/**
 * Whether no other node can lead yet: a quorum answered heartbeats sent so recently that each of those voters still
 * refuses to vote. Clocks may differ in speed, so a margin is taken off.
 */
function holdsLease(core: Core): boolean {
  if (core.leaseSurrendered) return false;
  const { voters } = core.tracker.configuration;
  const heardAt = jointCommittedIndex(voters, (id) => (id === core.id ? core.ticks : core.leaseTicks.get(id)));
  return heardAt > 0 && core.ticks - heardAt < core.config.electionTick - core.config.leaseMarginTicks;
}

function answer(core: Core, request: Message, index: number): void {
  if (request.from === core.id || request.from === 0)
    core.readStates.push({ index, context: request.entries[0]?.data ?? NO_DATA });
  else core.send({ type: 'MsgReadIndexResp', to: request.from, index, entries: request.entries });
}
