import type { RaftConfig } from '../src/index.ts';
import type { SeededRandom } from './random.ts';

/** Virtual milliseconds between the ticks of a clock that goes right. */
export const TICK = 10;
export const ELECTION_TICK = 10;
/** The shortest election timeout, in virtual milliseconds. */
export const ELECTION_TIMEOUT = TICK * ELECTION_TICK;

export type MemberConfig = Omit<RaftConfig, 'id' | 'storage' | 'random' | 'logger' | 'applied' | 'asyncStorageWrites'>;

/** What a run is like, drawn from its seed: with thousands of seeds every mixture is met. */
export interface Options {
  readonly config: MemberConfig;
  /** The members of the first configuration; spare nodes can be added later. */
  readonly voters: number;
  readonly learners: number;
  readonly spares: number;
  /** The share of nodes that write asynchronously. */
  readonly asyncShare: number;
  /** How long the faults go on, in virtual milliseconds. */
  readonly faultyTime: number;
  readonly lossRate: number;
  readonly duplicateRate: number;
  /** Longest usual delay of a message, and how often one takes many times that. */
  readonly delayMax: number;
  readonly lateRate: number;
  /** Longest time a flush takes. */
  readonly syncMax: number;
  /** Clocks go this much faster or slower, at most. */
  readonly clockSkew: number;
  /** Mean virtual milliseconds between events of each kind; Infinity for never. */
  readonly every: Readonly<Record<Fault, number>>;
}

export type Fault =
  | 'propose'
  | 'read'
  | 'crash'
  | 'pause'
  | 'partition'
  | 'cutOneWay'
  | 'changeMembers'
  | 'transfer'
  | 'campaign'
  | 'forgetLeader'
  | 'compact';

export function drawOptions(random: SeededRandom): Options {
  const lease = random.chance(0.25);
  const often = (low: number, high: number, share: number): number =>
    random.chance(share) ? random.between(low, high) : Infinity;
  const config = drawConfig(random, lease);
  // Without either option a node that is at a later term and may not campaign is never heard again: members do not
  // change there.
  const fixed = !config.checkQuorum && !config.preVote;
  return {
    config,
    voters: random.pick([1, 2, 3, 3, 3, 4, 5, 5]),
    learners: fixed ? 0 : random.pick([0, 0, 1]),
    spares: fixed ? 0 : random.pick([0, 1, 2]),
    asyncShare: random.pick([0, 0.5, 1]),
    faultyTime: random.between(1000, 4000),
    lossRate: random.pick([0, 0, 0.02, 0.1, 0.3]),
    duplicateRate: random.pick([0, 0, 0.05, 0.2]),
    delayMax: random.pick([2, 10, 40]),
    lateRate: random.pick([0, 0.02, 0.1]),
    syncMax: random.pick([1, 5, 30]),
    clockSkew: random.pick([0, 0.05, 0.1]),
    every: {
      propose: random.between(5, 60),
      read: random.between(10, 100),
      crash: often(100, 600, 0.7),
      pause: often(200, 900, 0.4),
      partition: often(100, 500, 0.7),
      cutOneWay: often(100, 500, 0.4),
      changeMembers: fixed ? Infinity : often(60, 400, 0.6),
      transfer: often(80, 500, 0.5),
      // An election that nobody's clock called for breaks the promise a lease is built on.
      campaign: lease ? Infinity : often(100, 600, 0.3),
      forgetLeader: often(100, 600, 0.2),
      compact: often(40, 400, 0.7),
    },
  };
}

function drawConfig(random: SeededRandom, lease: boolean): MemberConfig {
  const maxBytesPerMessage = random.pick([0, 64, 300, Infinity]);
  return {
    electionTick: ELECTION_TICK,
    heartbeatTick: random.pick([1, 1, 2, 3]),
    maxBytesPerMessage,
    maxCommittedBytesPerReady: random.pick([1, 100, 1000, Infinity]),
    maxUncommittedBytes: random.pick([200, 2000, Infinity]),
    maxInflightMessages: random.pick([1, 2, 8, 256]),
    maxInflightBytes: random.pick([Math.max(maxBytesPerMessage, 100), Infinity]),
    checkQuorum: lease || random.chance(0.6),
    preVote: random.chance(0.6),
    readOnly: lease ? 'leaseBased' : 'safe',
    disableProposalForwarding: random.chance(0.3),
    stepDownOnRemoval: true,
  };
}
