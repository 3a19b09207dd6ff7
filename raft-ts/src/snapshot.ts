/** A follower that is too far behind gets the leader's state instead of entries (paper 7). */
import { restoreMembership } from './changer.ts';
import type { Core } from './core.ts';
import { violated } from './errors.ts';
import { switchToConfig } from './membership.ts';
import type { Message } from './message.ts';
import { becomeFollower } from './roles.ts';
import { type ConfState, NONE, type Snapshot } from './types.ts';

export function handleSnapshot(core: Core, message: Message): void {
  const { snapshot } = message;
  const restored = snapshot !== undefined && restore(core, snapshot);
  const what = `snapshot [index: ${snapshot?.index ?? 0}, term: ${snapshot?.term ?? 0}]`;
  core.logger.info(`${core.name} [commit: ${core.log.committed}] ${restored ? 'restored' : 'ignored'} ${what}`);
  const index = restored ? core.log.lastIndex() : core.log.committed;
  core.send({ type: 'MsgAppResp', to: message.from, index });
}

/** Puts a snapshot in place of the log. False if it is not needed, or not for this node. */
function restore(core: Core, snapshot: Snapshot): boolean {
  const { log, logger, name } = core;
  if (snapshot.index <= log.committed) return false;
  if (core.state !== 'StateFollower') {
    logger.warning(`${name} attempted to restore snapshot as leader; should never happen`);
    becomeFollower(core, core.term + 1, NONE);
    return false;
  }
  const { voters, learners, votersOutgoing } = snapshot.confState;
  if (![voters, learners, votersOutgoing].some((ids) => ids.includes(core.id))) {
    logger.warning(
      `${name} attempted to restore snapshot but it is not in the ConfState ${describeIds(snapshot.confState)}; should never happen`,
    );
    return false;
  }
  const { index, term } = snapshot;
  if (log.matches({ index, term })) {
    // The log has all of it: only the news that it is committed is taken.
    const last = log.lastEntryId();
    logger.info(
      `${name} [commit: ${log.committed}, lastindex: ${last.index}, lastterm: ${last.term}] fast-forwarded commit to snapshot [index: ${index}, term: ${term}]`,
    );
    log.commitTo(index);
    return false;
  }
  log.restore(snapshot);
  core.tracker = core.newTracker();
  const membership = restoreMembership(snapshot.confState, log.lastIndex(), core.tracker.limits);
  assertSameConfState(snapshot.confState, switchToConfig(core, membership));
  const last = log.lastEntryId();
  logger.info(
    `${name} [commit: ${log.committed}, lastindex: ${last.index}, lastterm: ${last.term}] restored snapshot [index: ${index}, term: ${term}]`,
  );
  return true;
}

function describeIds(state: ConfState): string {
  return `voters:[${state.voters.join(' ')}] learners:[${state.learners.join(' ')}]`;
}

/** A configuration state must survive being put in force and read back. */
export function assertSameConfState(given: ConfState, taken: ConfState): void {
  const sorted = (state: ConfState): string =>
    JSON.stringify([
      [...state.voters].sort((a, b) => a - b),
      [...state.learners].sort((a, b) => a - b),
      [...state.votersOutgoing].sort((a, b) => a - b),
      [...state.learnersNext].sort((a, b) => a - b),
      state.autoLeave,
    ]);
  if (sorted(given) !== sorted(taken)) violated(`configuration states differ: ${sorted(given)} and ${sorted(taken)}`);
}
