/** The one place where a node changes its role. */
import type { Core } from './core.ts';
import { violated } from './errors.ts';
import { appendEntries } from './replication.ts';
import { NO_DATA, NONE, type NodeId } from './types.ts';

export function becomeFollower(core: Core, term: number, lead: NodeId): void {
  core.reset(term);
  core.lead = lead;
  core.state = 'StateFollower';
  core.logger.info(`${core.name} became follower at term ${core.term}`);
}

/** Asks whether an election could be won. Changes neither term nor vote. */
export function becomePreCandidate(core: Core): void {
  if (core.state === 'StateLeader') violated('invalid transition [leader -> pre-candidate]');
  core.tracker.resetVotes();
  core.lead = NONE;
  core.state = 'StatePreCandidate';
  core.logger.info(`${core.name} became pre-candidate at term ${core.term}`);
}

export function becomeCandidate(core: Core): void {
  if (core.state === 'StateLeader') violated('invalid transition [leader -> candidate]');
  core.reset(core.term + 1);
  core.vote = core.id;
  core.state = 'StateCandidate';
  core.logger.info(`${core.name} became candidate at term ${core.term}`);
}

export function becomeLeader(core: Core): void {
  if (core.state === 'StateFollower') violated('invalid transition [follower -> leader]');
  core.reset(core.term);
  core.lead = core.id;
  core.state = 'StateLeader';
  const own = core.tracker.get(core.id) ?? violated(`${core.name} leads a group it is not in`);
  own.becomeReplicate();
  own.recentActive = true;
  // There may be a configuration change in the tail of the log; assuming one costs a short wait, scanning costs more.
  core.pendingConfIndex = core.log.lastIndex();
  // An entry of its own term lets a leader commit those of earlier terms (5.4.2).
  if (!appendEntries(core, [{ type: 'EntryNormal', data: NO_DATA }])) violated('empty entry was dropped');
  core.logger.info(`${core.name} became leader at term ${core.term}`);
}
