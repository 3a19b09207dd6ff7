/** How a candidate or pre-candidate takes messages. */
import type { Core } from './core.ts';
import { handleVoteResponse } from './election.ts';
import type { Refusal } from './errors.ts';
import { FOLLOWER } from './follower.ts';
import { type Handlers, handle } from './handlers.ts';
import { hex } from './logger.ts';
import type { Message } from './message.ts';
import { becomeFollower } from './roles.ts';

/** An answer to the poll is no vote, and a vote no answer to the poll: each counts in its own state. */
export const PRE_CANDIDATE: Handlers = {
  MsgProp: dropProposal,
  MsgApp: yieldToLeader,
  MsgHeartbeat: yieldToLeader,
  MsgSnap: yieldToLeader,
  MsgPreVoteResp: handleVoteResponse,
  MsgTimeoutNow: ignoreTimeoutNow,
};

export const CANDIDATE: Handlers = {
  MsgProp: dropProposal,
  MsgApp: yieldToLeader,
  MsgHeartbeat: yieldToLeader,
  MsgSnap: yieldToLeader,
  MsgVoteResp: handleVoteResponse,
  MsgTimeoutNow: ignoreTimeoutNow,
};

function dropProposal(core: Core): Refusal {
  core.logger.info(`${core.name} no leader at term ${core.term}; dropping proposal`);
  return 'proposalDropped';
}

/** Somebody else has won this term. */
function yieldToLeader(core: Core, message: Message): void {
  becomeFollower(core, message.term, message.from);
  handle(FOLLOWER, core, message);
}

function ignoreTimeoutNow(core: Core, message: Message): void {
  core.logger.debug(
    `${core.name} [term ${core.term} state ${core.state}] ignored MsgTimeoutNow from ${hex(message.from)}`,
  );
}
