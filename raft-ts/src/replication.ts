/** What a leader sends: appends, snapshots to those too far behind, and the commit index (paper 5.3). */
import type { Core } from './core.ts';
import { violated } from './errors.ts';
import { hex } from './logger.ts';
import type { Progress } from './progress.ts';
import { payloadSize } from './sizes.ts';
import type { Entry, NodeId } from './types.ts';

/**
 * Sends the next entries to a follower, if flow control allows. Without `evenIfEmpty` a message that would carry no
 * entry is not sent; one is useful only for the commit index it brings. True if something was sent.
 */
export function maybeSendAppend(core: Core, to: NodeId, evenIfEmpty: boolean): boolean {
  const progress = core.tracker.get(to);
  if (progress === undefined || progress.isPaused()) return false;
  const previous = progress.next - 1;
  const logTerm = core.log.term(previous);
  if (typeof logTerm !== 'number') return maybeSendSnapshot(core, to, progress);

  // With a full window only an empty append goes: were all messages in it lost, its answer frees the window again.
  const canCarry = progress.state !== 'StateReplicate' || !progress.inflights.full();
  const entries = canCarry ? core.log.entries(progress.next, core.config.maxBytesPerMessage) : [];
  if (typeof entries === 'string') return maybeSendSnapshot(core, to, progress);
  if (entries.length === 0 && !evenIfEmpty) return false;

  const commit = core.log.committed;
  core.send({ type: 'MsgApp', to, index: previous, logTerm, entries, commit });
  progress.sentEntries(entries.length, payloadSize(entries));
  progress.sentCommitIndex(commit);
  return true;
}

function maybeSendSnapshot(core: Core, to: NodeId, progress: Progress): boolean {
  if (!progress.recentActive) {
    core.logger.debug(`ignore sending snapshot to ${hex(to)} since it is not recently active`);
    return false;
  }
  const snapshot = core.log.snapshot();
  if (snapshot === 'unavailable') {
    core.logger.debug(`${core.name} failed to send snapshot to ${hex(to)} because snapshot is temporarily unavailable`);
    return false;
  }
  if (snapshot.index === 0) violated('need non-empty snapshot');
  core.logger.debug(
    `${core.name} [firstindex: ${core.log.firstIndex()}, commit: ${core.log.committed}] sent snapshot[index: ${snapshot.index}, term: ${snapshot.term}] to ${hex(to)} [${progress.describe()}]`,
  );
  progress.becomeSnapshot(snapshot.index);
  core.logger.debug(`${core.name} paused sending replication messages to ${hex(to)} [${progress.describe()}]`);
  core.send({ type: 'MsgSnap', to, snapshot });
  return true;
}

export function broadcastAppend(core: Core): void {
  core.forEachPeer((id) => maybeSendAppend(core, id, true));
}

/** Commits what a quorum has stored. True if the commit index moved, and the followers should hear of it. */
export function maybeCommit(core: Core): boolean {
  return core.log.maybeCommit({ term: core.term, index: core.tracker.committed() });
}

/**
 * Adds entries to a leader's log. False, and nothing added, if the uncommitted tail would grow over its limit; empty
 * payloads always fit, so a new leader's first entry and the leaving of a joint configuration are never refused.
 */
export function appendEntries(core: Core, proposed: readonly Pick<Entry, 'type' | 'data'>[]): boolean {
  const bytes = payloadSize(proposed);
  const limit = core.config.maxUncommittedBytes;
  if (core.uncommittedBytes > 0 && bytes > 0 && core.uncommittedBytes + bytes > limit) {
    core.logger.warning(
      `${core.name} appending new entries to log would exceed uncommitted entry size limit; dropping proposal`,
    );
    return false;
  }
  core.uncommittedBytes += bytes;
  const first = core.log.lastIndex() + 1;
  const entries = proposed.map(({ type, data }, at) => ({ type, term: core.term, index: first + at, data }));
  // The leader acknowledges its own entries like any follower: by a message that waits until they are stored.
  const index = core.log.append(entries);
  core.send({ type: 'MsgAppResp', to: core.id, index });
  return true;
}
