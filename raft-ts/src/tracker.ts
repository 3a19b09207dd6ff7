import { Progress, type WindowLimits } from './progress.ts';
import {
  describeMajority,
  describeQuorum,
  type JointQuorum,
  jointCommittedIndex,
  jointVoteResult,
  jointVoters,
  type Majority,
  type VoteResult,
} from './quorum.ts';
import type { ConfState, NodeId } from './types.ts';

/**
 * The configuration in use.
 * Guarantees, by the changer: learners are not voters of either half; `learnersNext` are voters of the outgoing half
 * and not learners yet; outside a joint configuration `learnersNext` is empty and `autoLeave` is false.
 */
export interface Configuration {
  readonly voters: JointQuorum;
  readonly learners: Majority;
  readonly learnersNext: Majority;
  readonly autoLeave: boolean;
}

export const EMPTY_CONFIGURATION: Configuration = {
  voters: { incoming: [], outgoing: [] },
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

export type ProgressMap = ReadonlyMap<NodeId, Progress>;

export function isJoint(configuration: Configuration): boolean {
  return configuration.voters.outgoing.length > 0;
}

export function describeConfiguration(configuration: Configuration): string {
  const { voters, learners, learnersNext, autoLeave } = configuration;
  return [
    `voters=${describeQuorum(voters)}`,
    learners.length > 0 ? ` learners=${describeMajority(learners)}` : '',
    learnersNext.length > 0 ? ` learners_next=${describeMajority(learnersNext)}` : '',
    autoLeave ? ' autoleave' : '',
  ].join('');
}

/** One line for each member, by ascending id. */
export function describeProgress(progress: ProgressMap): string {
  return [...progress.entries()]
    .sort(([a], [b]) => a - b)
    .map(([id, one]) => `${id}: ${one.describe()}\n`)
    .join('');
}

/** The members of the configuration, how far each has come, and how each has voted. */
export class ProgressTracker {
  readonly limits: WindowLimits;
  configuration: Configuration = EMPTY_CONFIGURATION;
  #progress: ProgressMap = new Map();
  /** The members, ascending: messages are always sent in this order, so that runs are reproducible. */
  #ids: readonly NodeId[] = [];
  #votes = new Map<NodeId, boolean>();

  constructor(limits: WindowLimits) {
    this.limits = limits;
  }

  get progress(): ProgressMap {
    return this.#progress;
  }

  set progress(progress: ProgressMap) {
    this.#progress = progress;
    this.#ids = [...progress.keys()].sort((a, b) => a - b);
  }

  /** All members, learners too, ascending. */
  get ids(): readonly NodeId[] {
    return this.#ids;
  }

  get(id: NodeId): Progress | undefined {
    return this.#progress.get(id);
  }

  voters(): Majority {
    return jointVoters(this.configuration.voters);
  }

  confState(): ConfState {
    const { voters, learners, learnersNext, autoLeave } = this.configuration;
    return { voters: voters.incoming, learners, votersOutgoing: voters.outgoing, learnersNext, autoLeave };
  }

  isSingleton(): boolean {
    const { incoming, outgoing } = this.configuration.voters;
    return incoming.length === 1 && outgoing.length === 0;
  }

  /** The highest index that a quorum of voters has stored. */
  committed(): number {
    return jointCommittedIndex(this.configuration.voters, (id) => this.#progress.get(id)?.match);
  }

  /** Whether a quorum of voters has answered lately. */
  quorumActive(): boolean {
    const votes = new Map<NodeId, boolean>();
    for (const [id, progress] of this.#progress) if (!progress.isLearner) votes.set(id, progress.recentActive);
    return jointVoteResult(this.configuration.voters, votes) === 'VoteWon';
  }

  resetVotes(): void {
    this.#votes = new Map();
  }

  /** Counts a vote; a second one of the same voter is ignored. */
  recordVote(id: NodeId, granted: boolean): void {
    if (!this.#votes.has(id)) this.#votes.set(id, granted);
  }

  tallyVotes(): { readonly granted: number; readonly rejected: number; readonly result: VoteResult } {
    let granted = 0;
    let rejected = 0;
    for (const [id, progress] of this.#progress) {
      const vote = progress.isLearner ? undefined : this.#votes.get(id);
      if (vote === true) granted++;
      if (vote === false) rejected++;
    }
    return { granted, rejected, result: jointVoteResult(this.configuration.voters, this.#votes) };
  }

  /** Starts all progress over: on every change of term or role. */
  resetProgress(lastIndex: number, self: NodeId): void {
    const fresh = new Map<NodeId, Progress>();
    for (const [id, old] of this.#progress) {
      const progress = new Progress(lastIndex + 1, old.isLearner, this.limits);
      if (id === self) progress.match = lastIndex;
      fresh.set(id, progress);
    }
    this.#progress = fresh;
  }
}
