/** Handing leadership over (thesis 3.10): bring the other up to date, then tell it to campaign at once. */
import type { Core } from './core.ts';
import { hex } from './logger.ts';
import type { Progress } from './progress.ts';
import { maybeSendAppend } from './replication.ts';
import { NONE, type NodeId } from './types.ts';

function sendTimeoutNow(core: Core, to: NodeId): void {
  // From here on the other may be elected in spite of any lease, even after this node has given the transfer up.
  core.leaseSurrendered = true;
  core.send({ type: 'MsgTimeoutNow', to });
}

export function handleTransferRequest(core: Core, transferee: NodeId, progress: Progress): void {
  const { logger, name, term } = core;
  if (progress.isLearner) {
    logger.debug(`${name} is learner. Ignored transferring leadership`);
    return;
  }
  const previous = core.leadTransferee;
  if (previous === transferee) {
    logger.info(
      `${name} [term ${term}] transfer leadership to ${hex(transferee)} is in progress, ignores request to same node ${hex(transferee)}`,
    );
    return;
  }
  if (previous !== NONE) {
    core.leadTransferee = NONE;
    logger.info(`${name} [term ${term}] abort previous transferring leadership to ${hex(previous)}`);
  }
  if (transferee === core.id) {
    logger.debug(`${name} is already leader. Ignored transferring leadership to self`);
    return;
  }
  logger.info(`${name} [term ${term}] starts to transfer leadership to ${hex(transferee)}`);
  // It has an election timeout to succeed; then this node takes proposals again.
  core.electionElapsed = 0;
  core.leadTransferee = transferee;
  if (progress.match === core.log.lastIndex()) {
    sendTimeoutNow(core, transferee);
    logger.info(
      `${name} sends MsgTimeoutNow to ${hex(transferee)} immediately as ${hex(transferee)} already has up-to-date log`,
    );
  } else {
    maybeSendAppend(core, transferee, true);
  }
}

/** A follower has acknowledged something: if it is the one to take over and has everything now, it may. */
export function maybeFinishTransfer(core: Core, from: NodeId, progress: Progress): void {
  if (from !== core.leadTransferee || progress.match !== core.log.lastIndex()) return;
  core.logger.info(`${core.name} sent MsgTimeoutNow to ${hex(from)} after received MsgAppResp`);
  sendTimeoutNow(core, from);
}
