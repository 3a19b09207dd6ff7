/** How a leader takes messages. */
import type { Core } from './core.ts';
import type { Handler, Handlers } from './handlers.ts';
import { hex } from './logger.ts';
import type { Message } from './message.ts';
import type { Progress } from './progress.ts';
import { proposeAsLeader } from './proposals.ts';
import { broadcastHeartbeat, handleReadAcknowledgement, handleReadRequest, releaseEarlyReads } from './read-index.ts';
import { broadcastAppend, maybeCommit, maybeSendAppend } from './replication.ts';
import { becomeFollower } from './roles.ts';
import { handleTransferRequest, maybeFinishTransfer } from './transfer.ts';
import { NONE } from './types.ts';

/** Messages from, or about, a member: nothing is known of others, and nothing learnt from them. */
function ofMember(take: (core: Core, message: Message, progress: Progress) => void): Handler {
  return (core, message) => {
    const progress = core.tracker.get(message.from);
    if (progress === undefined) core.logger.debug(`${core.name} no progress available for ${hex(message.from)}`);
    else take(core, message, progress);
  };
}

export const LEADER: Handlers = {
  MsgBeat: broadcastHeartbeat,
  MsgCheckQuorum: checkQuorum,
  MsgProp: (core, message) => proposeAsLeader(core, message.entries),
  MsgReadIndex: handleReadRequest,
  MsgAppResp: ofMember(handleAppendResponse),
  MsgHeartbeatResp: ofMember(handleHeartbeatResponse),
  MsgSnapStatus: ofMember(handleSnapshotStatus),
  MsgUnreachable: ofMember(handleUnreachable),
  MsgTransferLeader: ofMember((core, message, progress) => handleTransferRequest(core, message.from, progress)),
};

/** Steps down when no quorum has answered for an election timeout: somebody else may lead by now. */
function checkQuorum(core: Core): void {
  if (!core.tracker.quorumActive()) {
    core.logger.warning(`${core.name} stepped down to follower since quorum is not active`);
    becomeFollower(core, core.term, NONE);
  }
  core.forEachPeer((_, progress) => {
    progress.recentActive = false;
  });
}

function handleAppendResponse(core: Core, message: Message, progress: Progress): void {
  progress.recentActive = true;
  if (message.reject) handleRejection(core, message, progress);
  else handleAcknowledgement(core, message, progress);
}

/** An optimistic append to it was probably lost. */
function handleUnreachable(core: Core, message: Message, progress: Progress): void {
  if (progress.state === 'StateReplicate') progress.becomeProbe();
  core.logger.debug(
    `${core.name} failed to send message to ${hex(message.from)} because it is unreachable [${progress.describe()}]`,
  );
}

/**
 * The follower does not have the entry before those sent. Its hint is the last place where the logs may agree; what
 * the hint's term rules out is skipped, so that at most one probe per term is needed instead of one per entry.
 */
function handleRejection(core: Core, message: Message, progress: Progress): void {
  core.logger.debug(
    `${core.name} received MsgAppResp(rejected, hint: (index ${message.rejectHint}, term ${message.logTerm})) from ${hex(message.from)} for index ${message.index}`,
  );
  const hint =
    message.logTerm > 0 ? core.log.findConflictByTerm(message.rejectHint, message.logTerm).index : message.rejectHint;
  if (!progress.maybeDecreaseTo(message.index, hint)) return;
  core.logger.debug(`${core.name} decreased progress of ${hex(message.from)} to [${progress.describe()}]`);
  if (progress.state === 'StateReplicate') progress.becomeProbe();
  maybeSendAppend(core, message.from, true);
}

/** The follower, or this node itself, has stored everything up to an index. */
function handleAcknowledgement(core: Core, message: Message, progress: Progress): void {
  const { from, index } = message;
  const probeAnswered = progress.match === index && progress.state === 'StateProbe';
  if (!progress.maybeUpdate(index) && !probeAnswered) return;
  if (progress.state === 'StateProbe') {
    progress.becomeReplicate();
  } else if (progress.state === 'StateReplicate') {
    progress.inflights.freeUpTo(index);
  } else if (progress.match + 1 >= core.log.firstIndex()) {
    // Whatever snapshot it got, and from whom: it can be caught up from the log again.
    core.logger.debug(
      `${core.name} recovered from needing snapshot, resumed sending replication messages to ${hex(from)} [${progress.describe()}]`,
    );
    progress.becomeProbe();
    progress.becomeReplicate();
  }
  if (maybeCommit(core)) {
    releaseEarlyReads(core);
    broadcastAppend(core);
  } else if (from !== core.id && progress.canBumpCommit(core.log.committed)) {
    maybeSendAppend(core, from, true);
  }
  if (from === core.id) return;
  // The window has room again: fill it.
  while (maybeSendAppend(core, from, false));
  maybeFinishTransfer(core, from, progress);
}

function handleHeartbeatResponse(core: Core, message: Message, progress: Progress): void {
  progress.recentActive = true;
  progress.appendFlowPaused = false;
  // Even with a full window one empty append goes out, in case everything in the window was lost; and a follower that
  // is probed though it has everything needs one to be replicated to again.
  if (progress.match < core.log.lastIndex() || progress.state === 'StateProbe')
    maybeSendAppend(core, message.from, true);
  handleReadAcknowledgement(core, message);
}

/** The application reports how sending a snapshot ended. */
function handleSnapshotStatus(core: Core, message: Message, progress: Progress): void {
  if (progress.state !== 'StateSnapshot') return;
  if (message.reject) progress.pendingSnapshot = 0; // before becoming probe, which would start after it
  progress.becomeProbe();
  const outcome = message.reject ? 'failed' : 'succeeded';
  core.logger.debug(
    `${core.name} snapshot ${outcome}, resumed sending replication messages to ${hex(message.from)} [${progress.describe()}]`,
  );
  // On success its answer is on the way; on failure a heartbeat interval passes before the next attempt.
  progress.appendFlowPaused = true;
}
