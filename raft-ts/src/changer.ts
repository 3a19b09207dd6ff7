/**
 * Configuration changes as pure functions from a configuration to the next one (thesis, chapter 4). A simple change
 * moves at most one voter, so that old and new majorities intersect; any other goes through a joint configuration.
 */
import type { ConfChangeSingle } from './conf-change.ts';
import { violated } from './errors.ts';
import { Progress, type WindowLimits } from './progress.ts';
import { type Majority, majority } from './quorum.ts';
import { type Configuration, isJoint, type ProgressMap } from './tracker.ts';
import { type ConfState, NONE, type NodeId } from './types.ts';

/** A configuration together with the progress of its members. */
export interface Membership {
  readonly configuration: Configuration;
  readonly progress: ProgressMap;
}

export type ChangeOutcome =
  | { readonly ok: true; readonly membership: Membership }
  | { readonly ok: false; readonly error: string };

interface Changing {
  incoming: Set<NodeId>;
  outgoing: Set<NodeId>;
  learners: Set<NodeId>;
  learnersNext: Set<NodeId>;
  autoLeave: boolean;
  readonly progress: Map<NodeId, Progress>;
}

/** Applies changes to a membership. New members start at the log's end: that is where a first probe belongs. */
export class Changer {
  readonly #from: Membership;
  readonly #lastIndex: number;
  readonly #limits: WindowLimits;

  constructor(from: Membership, lastIndex: number, limits: WindowLimits) {
    this.#from = from;
    this.#lastIndex = lastIndex;
    this.#limits = limits;
  }

  simple(changes: readonly ConfChangeSingle[]): ChangeOutcome {
    if (isJoint(this.#from.configuration)) return refuse("can't apply simple config change in joint config");
    const changing = this.#open();
    const error = this.#apply(changing, changes);
    if (error !== undefined) return refuse(error);
    const before = this.#from.configuration.voters.incoming;
    const added = [...changing.incoming].filter((id) => !before.includes(id));
    const removed = before.filter((id) => !changing.incoming.has(id));
    if (added.length + removed.length > 1) return refuse('more than one voter changed without entering joint config');
    return close(changing);
  }

  enterJoint(autoLeave: boolean, changes: readonly ConfChangeSingle[]): ChangeOutcome {
    if (isJoint(this.#from.configuration)) return refuse('config is already joint');
    const changing = this.#open();
    if (changing.incoming.size === 0) return refuse("can't make a zero-voter config joint");
    changing.outgoing = new Set(changing.incoming);
    const error = this.#apply(changing, changes);
    if (error !== undefined) return refuse(error);
    changing.autoLeave = autoLeave;
    return close(changing);
  }

  leaveJoint(): ChangeOutcome {
    if (!isJoint(this.#from.configuration)) return refuse("can't leave a non-joint config");
    const changing = this.#open();
    for (const id of changing.learnersNext) {
      changing.learners.add(id);
      const progress = changing.progress.get(id);
      if (progress !== undefined) progress.isLearner = true;
    }
    changing.learnersNext = new Set();
    for (const id of changing.outgoing)
      if (!changing.incoming.has(id) && !changing.learners.has(id)) changing.progress.delete(id);
    changing.outgoing = new Set();
    changing.autoLeave = false;
    return close(changing);
  }

  #open(): Changing {
    const { voters, learners, learnersNext, autoLeave } = this.#from.configuration;
    const progress = new Map<NodeId, Progress>();
    for (const [id, one] of this.#from.progress) progress.set(id, one.copy());
    return {
      incoming: new Set(voters.incoming),
      outgoing: new Set(voters.outgoing),
      learners: new Set(learners),
      learnersNext: new Set(learnersNext),
      autoLeave,
      progress,
    };
  }

  #apply(changing: Changing, changes: readonly ConfChangeSingle[]): string | undefined {
    for (const { type, nodeId } of changes) {
      if (nodeId === NONE) continue; // the application may void a change by setting its id to zero
      switch (type) {
        case 'ConfChangeAddNode':
          this.#makeVoter(changing, nodeId);
          break;
        case 'ConfChangeAddLearnerNode':
          this.#makeLearner(changing, nodeId);
          break;
        case 'ConfChangeRemoveNode':
          remove(changing, nodeId);
          break;
        case 'ConfChangeUpdateNode':
          break;
      }
    }
    return changing.incoming.size === 0 ? 'removed all voters' : undefined;
  }

  #makeVoter(changing: Changing, id: NodeId): void {
    const progress = changing.progress.get(id);
    if (progress === undefined) this.#addMember(changing, id, false);
    else progress.isLearner = false;
    changing.learners.delete(id);
    changing.learnersNext.delete(id);
    changing.incoming.add(id);
  }

  #makeLearner(changing: Changing, id: NodeId): void {
    const progress = changing.progress.get(id);
    if (progress === undefined) {
      this.#addMember(changing, id, true);
      changing.learners.add(id);
      return;
    }
    if (progress.isLearner) return;
    remove(changing, id);
    changing.progress.set(id, progress);
    // Still a voter of the outgoing half: it becomes a learner when that half is left, since voters and learners are
    // kept apart.
    if (changing.outgoing.has(id)) {
      changing.learnersNext.add(id);
    } else {
      progress.isLearner = true;
      changing.learners.add(id);
    }
  }

  #addMember(changing: Changing, id: NodeId, isLearner: boolean): void {
    const progress = new Progress(Math.max(this.#lastIndex, 1), isLearner, this.#limits);
    // Counted as active, so that a check of the quorum does not depose the leader before the new member can answer.
    progress.recentActive = true;
    changing.progress.set(id, progress);
  }
}

function remove(changing: Changing, id: NodeId): void {
  changing.incoming.delete(id);
  changing.learners.delete(id);
  changing.learnersNext.delete(id);
  if (!changing.outgoing.has(id)) changing.progress.delete(id);
}

function refuse(error: string): ChangeOutcome {
  return { ok: false, error };
}

function close(changing: Changing): ChangeOutcome {
  const configuration: Configuration = {
    voters: { incoming: majority(changing.incoming), outgoing: majority(changing.outgoing) },
    learners: majority(changing.learners),
    learnersNext: majority(changing.learnersNext),
    autoLeave: changing.autoLeave,
  };
  const membership = { configuration, progress: changing.progress };
  assertMembership(membership);
  return { ok: true, membership };
}

/** Throws if a membership breaks the guarantees of `Configuration`. */
export function assertMembership({ configuration, progress }: Membership): void {
  const { voters, learners, learnersNext, autoLeave } = configuration;
  const tracked = (ids: Majority): void => {
    for (const id of ids) if (!progress.has(id)) violated(`no progress for ${id}`);
  };
  tracked(voters.incoming);
  tracked(voters.outgoing);
  tracked(learners);
  tracked(learnersNext);
  for (const id of learnersNext) {
    if (!voters.outgoing.includes(id)) violated(`${id} is in LearnersNext, but not Voters[1]`);
    if (progress.get(id)?.isLearner === true) violated(`${id} is in LearnersNext, but is already marked as learner`);
  }
  for (const id of learners) {
    if (voters.outgoing.includes(id)) violated(`${id} is in Learners and Voters[1]`);
    if (voters.incoming.includes(id)) violated(`${id} is in Learners and Voters[0]`);
    if (progress.get(id)?.isLearner === false) violated(`${id} is in Learners, but is not marked as learner`);
  }
  if (isJoint(configuration)) return;
  if (learnersNext.length > 0) violated('LearnersNext must be empty when not joint');
  if (autoLeave) violated('AutoLeave must be false when not joint');
}

function additions(ids: readonly NodeId[], type: ConfChangeSingle['type']): readonly ConfChangeSingle[] {
  return ids.map((nodeId) => ({ type, nodeId }));
}

/** The membership that a configuration state describes, rebuilt by the changes that lead to it. */
export function restoreMembership(state: ConfState, lastIndex: number, limits: WindowLimits): Membership {
  const joint = state.votersOutgoing.length > 0;
  const intoIncoming = [
    ...additions(state.votersOutgoing, 'ConfChangeRemoveNode'),
    ...additions(state.voters, 'ConfChangeAddNode'),
    ...additions(state.learners, 'ConfChangeAddLearnerNode'),
    ...additions(state.learnersNext, 'ConfChangeAddLearnerNode'),
  ];
  let membership: Membership = {
    configuration: {
      voters: { incoming: [], outgoing: [] },
      learners: [],
      learnersNext: [],
      autoLeave: false,
    },
    progress: new Map(),
  };
  const take = (outcome: ChangeOutcome): void => {
    if (!outcome.ok) violated(`unable to restore config: ${outcome.error}`);
    membership = outcome.membership;
  };
  const one = (change: ConfChangeSingle): void => take(new Changer(membership, lastIndex, limits).simple([change]));
  if (joint) {
    for (const change of additions(state.votersOutgoing, 'ConfChangeAddNode')) one(change);
    take(new Changer(membership, lastIndex, limits).enterJoint(state.autoLeave, intoIncoming));
  } else {
    for (const change of intoIncoming) one(change);
  }
  return membership;
}
