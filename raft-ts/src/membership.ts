/** Configuration changes of a running node: when one may be proposed, and what taking effect does. */
import { Changer, type Membership } from './changer.ts';
import { type AnyConfChange, asV2, type ConfChangeV2, describeConfChange, kindOf } from './conf-change.ts';
import type { Core } from './core.ts';
import { violated } from './errors.ts';
import { isVoter } from './quorum.ts';
import { broadcastAppend, maybeCommit, maybeSendAppend } from './replication.ts';
import { becomeFollower } from './roles.ts';
import { describeConfiguration, isJoint } from './tracker.ts';
import { type ConfState, NONE } from './types.ts';

/** Whether a leader may put a change into its log at `index`; if so, that is remembered. */
export function acceptConfChange(core: Core, change: AnyConfChange, index: number): boolean {
  const { configuration } = core.tracker;
  const leaves = asV2(change).changes.length === 0;
  let failed: string | undefined;
  if (core.pendingConfIndex > core.log.applied)
    failed = `possible unapplied conf change at index ${core.pendingConfIndex} (applied to ${core.log.applied})`;
  else if (isJoint(configuration) && !leaves) failed = 'must transition out of joint config first';
  else if (!isJoint(configuration) && leaves) failed = 'not in joint state; refusing empty conf change';
  if (failed !== undefined && !core.config.disableConfChangeValidation) {
    core.logger.info(
      `${core.name} ignoring conf change ${describeConfChange(change)} at config ${describeConfiguration(configuration)}: ${failed}`,
    );
    return false;
  }
  core.pendingConfIndex = index;
  return true;
}

/** A committed change takes effect. Throws if it does not fit the configuration: the logs have diverged. */
export function applyConfChange(core: Core, change: ConfChangeV2): ConfState {
  const { configuration, progress, limits } = core.tracker;
  const changer = new Changer({ configuration, progress }, core.log.lastIndex(), limits);
  const kind = kindOf(change);
  const outcome =
    kind.kind === 'leaveJoint'
      ? changer.leaveJoint()
      : kind.kind === 'enterJoint'
        ? changer.enterJoint(kind.autoLeave, change.changes)
        : changer.simple(change.changes);
  if (!outcome.ok) violated(outcome.error);
  return switchToConfig(core, outcome.membership);
}

/** Puts a configuration in force and does what follows from it. */
export function switchToConfig(core: Core, { configuration, progress }: Membership): ConfState {
  core.tracker.configuration = configuration;
  core.tracker.progress = progress;
  core.logger.info(`${core.name} switched to configuration ${describeConfiguration(configuration)}`);
  const state = core.tracker.confState();
  const own = core.tracker.get(core.id);
  core.isLearner = own?.isLearner ?? false;

  if (core.state !== 'StateLeader') return state;
  if (own === undefined || own.isLearner) {
    if (core.config.stepDownOnRemoval) becomeFollower(core, core.term, NONE);
    return state;
  }
  if (state.voters.length === 0) return state;
  // A smaller quorum may commit more at once. New members are probed without waiting for a heartbeat.
  if (maybeCommit(core)) broadcastAppend(core);
  else core.forEachPeer((id) => maybeSendAppend(core, id, false));
  if (core.leadTransferee !== NONE && !isVoter(configuration.voters, core.leadTransferee)) core.leadTransferee = NONE;
  return state;
}
