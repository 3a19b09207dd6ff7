/** Elections (paper 5.2 and 5.4.1, thesis 9.6 for the pre-vote): campaigning, voting and counting. */
import type { Core } from './core.ts';
import { violated } from './errors.ts';
import { hex } from './logger.ts';
import type { Message } from './message.ts';
import { isVoter } from './quorum.ts';
import { broadcastAppend } from './replication.ts';
import { becomeCandidate, becomeFollower, becomeLeader, becomePreCandidate } from './roles.ts';
import type { Entry, EntryId } from './types.ts';
import { NO_DATA, NONE } from './types.ts';
import { decodeEntryId, encodeEntryId } from './words.ts';

/** `transfer`: the leader asked for it, so voters need not wait for its lease to end. */
export type Campaign = 'preElection' | 'election' | 'transfer';

/** Marks a vote request as part of a transfer: "CampaignTransfer" in ASCII, as etcd writes it. */
const TRANSFER_CONTEXT = Uint8Array.from([67, 97, 109, 112, 97, 105, 103, 110, 84, 114, 97, 110, 115, 102, 101, 114]);

function isTransfer(context: Uint8Array): boolean {
  return context.length === TRANSFER_CONTEXT.length && TRANSFER_CONTEXT.every((byte, at) => context[at] === byte);
}

/** An election is called for: by the timeout, by the application, or by a leader that hands over. */
export function hup(core: Core, campaignType: Campaign): void {
  if (core.state === 'StateLeader') {
    core.logger.debug(`${core.name} ignoring MsgHup because already leader`);
    return;
  }
  if (!core.promotable()) {
    core.logger.warning(`${core.name} is unpromotable and can not campaign`);
    return;
  }
  if (hasUnappliedConfChange(core)) {
    core.logger.warning(
      `${core.name} cannot campaign at term ${core.term} since there are still pending configuration changes to apply`,
    );
    return;
  }
  core.logger.info(`${core.name} is starting a new election at term ${core.term}`);
  campaign(core, campaignType);
}

/** A candidate must know who votes: it must have applied the committed configuration changes. */
function hasUnappliedConfChange(core: Core): boolean {
  const { log } = core;
  let next = log.applied + 1;
  while (next <= log.committed) {
    const page: readonly Entry[] | string = log.slice(next, log.committed + 1, log.maxApplyingBytes);
    if (typeof page === 'string' || page.length === 0)
      return violated(`error scanning unapplied entries [${next}, ${log.committed + 1}): ${page}`);
    if (page.some((entry) => entry.type !== 'EntryNormal')) return true;
    next += page.length;
  }
  return false;
}

function campaign(core: Core, campaignType: Campaign): void {
  const preVote = campaignType === 'preElection';
  if (preVote) becomePreCandidate(core);
  else becomeCandidate(core);
  // A poll is for the term that would follow.
  const term = preVote ? core.term + 1 : core.term;
  const type = preVote ? 'MsgPreVote' : 'MsgVote';
  const last = core.log.lastEntryId();
  for (const to of core.tracker.voters()) {
    if (to === core.id) {
      // The vote for itself counts once it is stored, like any other.
      core.send({ type: preVote ? 'MsgPreVoteResp' : 'MsgVoteResp', to, term });
      continue;
    }
    core.logger.info(
      `${core.name} [logterm: ${last.term}, index: ${last.index}] sent ${type} request to ${hex(to)} at term ${core.term}`,
    );
    const context = campaignType === 'transfer' ? TRANSFER_CONTEXT : NO_DATA;
    core.send({ type, to, term, index: last.index, logTerm: last.term, context });
  }
}

function voteLogPrefix(core: Core, last: EntryId): string {
  return `${core.name} [logterm: ${last.term}, index: ${last.index}, vote: ${hex(core.vote)}]`;
}

function requestLog(request: Message): string {
  return `${request.type} from ${hex(request.from)} [logterm: ${request.logTerm}, index: ${request.index}]`;
}

/** Whether a vote request of a higher term is refused because a leader was heard from within the election timeout. */
export function refusesUnderLease(core: Core, request: Message): boolean {
  const { checkQuorum, electionTick } = core.config;
  const underLeader = checkQuorum && core.lead !== NONE && core.electionElapsed < electionTick;
  const quarantined = core.ticks < core.quarantineUntilTick;
  if (isTransfer(request.context) || !(underLeader || quarantined)) return false;
  const remaining = underLeader ? electionTick - core.electionElapsed : core.quarantineUntilTick - core.ticks;
  core.logger.info(
    `${voteLogPrefix(core, core.log.lastEntryId())} ignored ${requestLog(request)} at term ${core.term}: lease is not expired (remaining ticks: ${remaining})`,
  );
  return true;
}

/** Answers a MsgVote or MsgPreVote of this term or, for a pre-vote, of a later one. */
export function handleVoteRequest(core: Core, request: Message): void {
  const response = request.type === 'MsgVote' ? 'MsgVoteResp' : 'MsgPreVoteResp';
  const canVote =
    core.vote === request.from ||
    (core.vote === NONE && core.lead === NONE) ||
    (request.type === 'MsgPreVote' && request.term > core.term);
  const last = core.log.lastEntryId();
  // Learners vote too: a node that is asked may be a voter already and not know it yet.
  if (canVote && core.log.isUpToDate({ term: request.logTerm, index: request.index })) {
    core.logger.info(
      `${voteLogPrefix(core, last)} cast ${request.type} for ${hex(request.from)} [logterm: ${request.logTerm}, index: ${request.index}] at term ${core.term}`,
    );
    // The term of the request, not our own: the candidate ignores what is older than what it asked for.
    core.send({ type: response, to: request.from, term: request.term });
    if (request.type === 'MsgVote') {
      core.electionElapsed = 0;
      core.vote = request.from;
    }
  } else {
    rejectVote(core, request);
  }
}

/**
 * Refuses a vote, or answers a pre-vote of an old term, so that the asker learns of the newer one.
 *
 * A node that is no voter any more can refuse for ever, because it has entries of its own time as leader, while the
 * asker still needs it, because it does not know that the change which removed it is committed. So such a node says
 * what is committed; with that the asker applies the change and needs it no longer.
 */
export function rejectVote(core: Core, request: Message): void {
  core.logger.info(
    `${voteLogPrefix(core, core.log.lastEntryId())} rejected ${requestLog(request)} at term ${core.term}`,
  );
  const type = request.type === 'MsgVote' ? 'MsgVoteResp' : 'MsgPreVoteResp';
  const voter = isVoter(core.tracker.configuration.voters, core.id);
  const context = voter
    ? NO_DATA
    : encodeEntryId({ term: core.log.termOrZero(core.log.committed), index: core.log.committed });
  core.send({ type, to: request.from, term: core.term, reject: true, context });
}

/** Whether a refusal says that a configuration change which is in this node's log is committed (see `rejectVote`). */
function learnsCommit(core: Core, response: Message): boolean {
  const committed = decodeEntryId(response.context);
  if (committed === undefined || !core.log.matches(committed)) return false;
  core.log.commitTo(committed.index);
  return hasUnappliedConfChange(core);
}

/** Counts a vote for this candidate or pre-candidate. */
export function handleVoteResponse(core: Core, response: Message): void {
  if (response.reject && learnsCommit(core, response)) {
    // Who votes is about to change, perhaps without this node: no campaign goes on across that.
    becomeFollower(core, core.term, NONE);
    return;
  }
  const how = response.reject ? `${response.type} rejection` : response.type;
  core.logger.info(`${core.name} received ${how} from ${hex(response.from)} at term ${core.term}`);
  core.tracker.recordVote(response.from, !response.reject);
  const { granted, rejected, result } = core.tracker.tallyVotes();
  core.logger.info(`${core.name} has received ${granted} ${response.type} votes and ${rejected} vote rejections`);
  if (result === 'VoteWon') {
    if (core.state === 'StatePreCandidate') {
      campaign(core, 'election');
    } else {
      becomeLeader(core);
      broadcastAppend(core);
    }
  } else if (result === 'VoteLost') {
    // A pre-vote's answer carries a term that has not begun.
    becomeFollower(core, core.term, NONE);
  }
}
