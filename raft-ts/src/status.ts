import type { Core } from './core.ts';
import type { ProgressState } from './progress.ts';
import { isVoter } from './quorum.ts';
import { type Configuration, describeProgress, type ProgressMap } from './tracker.ts';
import { type HardState, NONE, type NodeId, type SoftState, type StateType } from './types.ts';

/** A member in the eyes of the leader. */
export interface MemberProgress {
  readonly match: number;
  readonly next: number;
  readonly state: ProgressState;
  readonly isLearner: boolean;
  /** Has answered within the last election timeout or so. */
  readonly recentActive: boolean;
  readonly paused: boolean;
  readonly inflightMessages: number;
  /** The index of the snapshot it is being sent; zero if none. */
  readonly pendingSnapshot: number;
}

/** A node at a glance; a copy, which does not change. */
export interface Status extends HardState, SoftState {
  readonly id: NodeId;
  readonly applied: number;
  readonly lastIndex: number;
  readonly state: StateType;
  readonly isVoter: boolean;
  readonly leadTransferee: NodeId;
  readonly configuration: Configuration;
  /** Only on a leader; else empty. */
  readonly progress: ReadonlyMap<NodeId, MemberProgress>;
}

function memberProgress(progress: ProgressMap): ReadonlyMap<NodeId, MemberProgress> {
  const members = new Map<NodeId, MemberProgress>();
  for (const [id, one] of progress)
    members.set(id, {
      match: one.match,
      next: one.next,
      state: one.state,
      isLearner: one.isLearner,
      recentActive: one.recentActive,
      paused: one.isPaused(),
      inflightMessages: one.inflights.count,
      pendingSnapshot: one.pendingSnapshot,
    });
  return members;
}

export function statusOf(core: Core): Status {
  const leads = core.state === 'StateLeader';
  return {
    id: core.id,
    ...core.hardState(),
    ...core.softState(),
    applied: core.log.applied,
    lastIndex: core.log.lastIndex(),
    isVoter: isVoter(core.tracker.configuration.voters, core.id),
    leadTransferee: leads ? core.leadTransferee : NONE,
    configuration: core.tracker.configuration,
    progress: leads ? memberProgress(core.tracker.progress) : new Map(),
  };
}

/** The progress of all members in words, one line each; empty unless this node leads. */
export function describeStatus(core: Core): string {
  return core.state === 'StateLeader' ? describeProgress(core.tracker.progress) : '';
}
