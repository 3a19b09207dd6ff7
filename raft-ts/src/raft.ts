/** The state machine: a node is stepped by messages and by ticks. */
import { handleAppendStored, handleApplied, handleOldAppendStored } from './applied.ts';
import { CANDIDATE, PRE_CANDIDATE } from './candidate.ts';
import { restoreMembership } from './changer.ts';
import { checkedConfig, type RaftConfig } from './config.ts';
import { Core } from './core.ts';
import { handleVoteRequest, hup, refusesUnderLease, rejectVote } from './election.ts';
import { type Refusal, violated } from './errors.ts';
import { FOLLOWER } from './follower.ts';
import { type Handlers, handle } from './handlers.ts';
import { LEADER } from './leader.ts';
import { hex } from './logger.ts';
import { switchToConfig } from './membership.ts';
import { type Message, message } from './message.ts';
import { becomeFollower } from './roles.ts';
import { assertSameConfState } from './snapshot.ts';
import { type HardState, isEmptyHardState, NONE, type StateType } from './types.ts';

/** Makes a node from what its storage holds. */
export function createCore(config: RaftConfig): Core {
  const checked = checkedConfig(config);
  const core = new Core(checked);
  const { hardState, confState } = checked.storage.initialState();
  const last = core.log.lastEntryId();
  const membership = restoreMembership(confState, last.index, core.tracker.limits);
  assertSameConfState(confState, switchToConfig(core, membership));
  if (!isEmptyHardState(hardState)) loadState(core, hardState);
  if (checked.applied > 0) core.log.appliedTo(checked.applied, 0);
  // A lease that this node granted before it was restarted still holds.
  if (checked.readOnly === 'leaseBased' && hardState.term > 0) core.quarantineUntilTick = checked.electionTick;
  becomeFollower(core, core.term, NONE);
  const peers = core.tracker.voters().map(hex).join(',');
  core.logger.info(
    `newRaft ${core.name} [peers: [${peers}], term: ${core.term}, commit: ${core.log.committed}, applied: ${core.log.applied}, lastindex: ${last.index}, lastterm: ${last.term}]`,
  );
  return core;
}

function loadState(core: Core, state: HardState): void {
  if (state.commit < core.log.committed || state.commit > core.log.lastIndex())
    violated(
      `${core.name} state.commit ${state.commit} is out of range [${core.log.committed}, ${core.log.lastIndex()}]`,
    );
  core.log.committed = state.commit;
  core.term = state.term;
  core.vote = state.vote;
}

/** A tick of the clock. */
export function tick(core: Core): void {
  core.ticks++;
  if (core.state === 'StateLeader') tickLeader(core);
  else tickElection(core);
}

function tickElection(core: Core): void {
  core.electionElapsed++;
  if (core.promotable() && core.electionElapsed >= core.randomizedElectionTimeout) {
    core.electionElapsed = 0;
    step(core, message({ type: 'MsgHup', from: core.id }));
  }
}

function tickLeader(core: Core): void {
  core.heartbeatElapsed++;
  core.electionElapsed++;
  if (core.electionElapsed >= core.config.electionTick) {
    core.electionElapsed = 0;
    if (core.config.checkQuorum) step(core, message({ type: 'MsgCheckQuorum', from: core.id }));
    // A transfer that has not succeeded by now is given up.
    core.leadTransferee = NONE;
  }
  if (core.state !== 'StateLeader') return;
  if (core.heartbeatElapsed >= core.config.heartbeatTick) {
    core.heartbeatElapsed = 0;
    step(core, message({ type: 'MsgBeat', from: core.id }));
  }
}

/** Takes a message. What comes back says why it was refused, if it was and somebody should know. */
export function step(core: Core, message: Message): Refusal | undefined {
  if (message.term > core.term) {
    if (!enterHigherTerm(core, message)) return undefined;
  } else if (message.term !== 0 && message.term < core.term) {
    handleLowerTerm(core, message);
    return undefined;
  }
  const any = ANY_ROLE[message.type];
  if (any !== undefined) return any(core, message) ?? undefined;
  return handle(BY_ROLE[core.state], core, message);
}

/** What every role does alike. */
const ANY_ROLE: Handlers = {
  MsgHup: (core) => hup(core, core.config.preVote ? 'preElection' : 'election'),
  MsgStorageAppendResp: handleAppendStored,
  MsgStorageApplyResp: handleApplied,
  MsgVote: handleVoteRequest,
  MsgPreVote: handleVoteRequest,
};

const BY_ROLE: Readonly<Record<StateType, Handlers>> = {
  StateFollower: FOLLOWER,
  StatePreCandidate: PRE_CANDIDATE,
  StateCandidate: CANDIDATE,
  StateLeader: LEADER,
};

/** A message of a later term makes a follower of everybody, with three exceptions. False if it is to be ignored. */
function enterHigherTerm(core: Core, message: Message): boolean {
  const { type, from, term } = message;
  const asksForVote = type === 'MsgVote' || type === 'MsgPreVote';
  if (asksForVote && refusesUnderLease(core, message)) return false;
  // A poll changes no term: neither when it is asked, nor when it is granted for a term that may never begin.
  if (type === 'MsgPreVote' || (type === 'MsgPreVoteResp' && !message.reject)) return true;
  core.logger.info(
    `${core.name} [term: ${core.term}] received a ${type} message with higher term from ${hex(from)} [term: ${term}]`,
  );
  const fromLeader = type === 'MsgApp' || type === 'MsgHeartbeat' || type === 'MsgSnap';
  becomeFollower(core, term, fromLeader ? from : NONE);
  return true;
}

function handleLowerTerm(core: Core, message: Message): void {
  const { type, from } = message;
  const { checkQuorum, preVote } = core.config;
  if ((checkQuorum || preVote) && (type === 'MsgHeartbeat' || type === 'MsgApp')) {
    // Under these options a vote request does not raise a leader's term, so a node stuck at a later term would never
    // get back in. This answer makes the leader of the earlier term step down.
    core.send({ type: 'MsgAppResp', to: from });
  } else if (type === 'MsgPreVote') {
    // Answered, or nodes with and without pre-vote could wait for each other for ever.
    rejectVote(core, message);
  } else if (type === 'MsgStorageAppendResp') {
    handleOldAppendStored(core, message);
  } else {
    core.logger.info(
      `${core.name} [term: ${core.term}] ignored a ${type} message with lower term from ${hex(from)} [term: ${message.term}]`,
    );
  }
}
