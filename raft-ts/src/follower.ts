/** How a follower takes messages. */
import type { Core } from './core.ts';
import { hup } from './election.ts';
import type { Refusal } from './errors.ts';
import type { Handler, Handlers } from './handlers.ts';
import { hex } from './logger.ts';
import type { Message } from './message.ts';
import { handleSnapshot } from './snapshot.ts';
import { NONE } from './types.ts';

export const FOLLOWER: Handlers = {
  MsgProp: forwardProposal,
  MsgApp: heardFromLeader(handleAppend),
  MsgHeartbeat: heardFromLeader(handleHeartbeat),
  MsgSnap: heardFromLeader(handleSnapshot),
  MsgTransferLeader: (core, message) => forward(core, message, 'leader transfer msg'),
  MsgReadIndex: (core, message) => forward(core, message, 'index reading msg'),
  MsgForgetLeader: forgetLeader,
  MsgTimeoutNow: handleTimeoutNow,
  MsgReadIndexResp: handleReadAnswer,
};

/** A message of the leader of this term starts the election timeout over. */
function heardFromLeader(take: (core: Core, message: Message) => void): Handler {
  return (core, message) => {
    core.electionElapsed = 0;
    core.lead = message.from;
    take(core, message);
  };
}

function forwardProposal(core: Core, message: Message): Refusal | undefined {
  if (core.lead === NONE) {
    core.logger.info(`${core.name} no leader at term ${core.term}; dropping proposal`);
    return 'proposalDropped';
  }
  if (core.config.disableProposalForwarding) {
    core.logger.info(`${core.name} not forwarding to leader ${hex(core.lead)} at term ${core.term}; dropping proposal`);
    return 'proposalDropped';
  }
  core.send({ ...message, term: 0, to: core.lead });
  return undefined;
}

function forward(core: Core, message: Message, what: string): void {
  if (core.lead === NONE) core.logger.info(`${core.name} no leader at term ${core.term}; dropping ${what}`);
  else core.send({ ...message, term: 0, to: core.lead });
}

function handleTimeoutNow(core: Core, message: Message): void {
  core.logger.info(
    `${core.name} [term ${core.term}] received MsgTimeoutNow from ${hex(message.from)} and starts an election to get leadership.`,
  );
  // Never a pre-vote first: the leader asked, so this does not disturb it.
  hup(core, 'transfer');
}

/** Ready to vote for another without waiting for the timeout, which keeps running. */
function forgetLeader(core: Core): void {
  if (core.config.readOnly === 'leaseBased') {
    core.logger.error('ignoring MsgForgetLeader due to ReadOnlyLeaseBased');
    return;
  }
  if (core.lead === NONE) return;
  core.logger.info(`${core.name} forgetting leader ${hex(core.lead)} at term ${core.term}`);
  core.lead = NONE;
}

function handleReadAnswer(core: Core, message: Message): void {
  const request = message.entries[0];
  if (request === undefined || message.entries.length !== 1) {
    core.logger.error(
      `${core.name} invalid format of MsgReadIndexResp from ${hex(message.from)}, entries count: ${message.entries.length}`,
    );
    return;
  }
  core.readStates.push({ index: message.index, context: request.data });
}

function handleAppend(core: Core, message: Message): void {
  const { log } = core;
  const { from, index, logTerm } = message;
  if (index < log.committed) {
    // Late or repeated: what is committed here agrees with every leader.
    core.send({ type: 'MsgAppResp', to: from, index: log.committed });
    return;
  }
  const last = log.maybeAppend({ term: logTerm, index }, message.entries, message.commit);
  if (last !== undefined) {
    core.send({ type: 'MsgAppResp', to: from, index: last });
    return;
  }
  core.logger.debug(
    `${core.name} [logterm: ${log.termOrZero(index)}, index: ${index}] rejected MsgApp [logterm: ${logTerm}, index: ${index}] from ${hex(from)}`,
  );
  // The last place where the logs may agree: entries of later terms than the leader's cannot be in its log.
  const hint = log.findConflictByTerm(Math.min(index, log.lastIndex()), logTerm);
  core.send({ type: 'MsgAppResp', to: from, index, reject: true, rejectHint: hint.index, logTerm: hint.term });
}

function handleHeartbeat(core: Core, message: Message): void {
  core.log.commitTo(message.commit);
  core.send({ type: 'MsgHeartbeatResp', to: message.from, context: message.context });
}
