import type { LogConfig } from '#manager/log/index.ts';
import type { RaftTuning } from '#manager/raft/index.ts';
import type { StoreConfig } from '#manager/replicated-store/index.ts';
import type { SimRandom } from './sim-random.ts';

/** Managers of this release and of the next one are simulated. */
export const NEWEST_LEVEL = 2;

export interface NetworkOptions {
  /** Longest usual delay, and how often a message takes ten times that. */
  readonly delayMs: number;
  readonly lateShare: number;
  readonly lossShare: number;
  /** Messages come in any order and more than once, as no stream would have it; Raft allows that. */
  readonly isUnordered: boolean;
  readonly repeatShare: number;
}

export type Fault =
  | 'crash'
  | 'stop'
  | 'pause'
  | 'partition'
  | 'cutOneWay'
  | 'cutLeader'
  | 'transfer'
  | 'join'
  | 'remove'
  | 'readdress'
  | 'wipe'
  | 'breakDisk'
  | 'fillDisk'
  | 'slowDisk'
  | 'jumpClock'
  | 'upgrade';

/** What a run is like, drawn from its seed: with many seeds every mixture is met. */
export interface Options {
  /** Managers that are there from the beginning, and machines that may join later. */
  readonly managers: number;
  readonly spares: number;
  /** How long the faults go on. */
  readonly faultyMs: number;
  readonly network: NetworkOptions;
  readonly clients: number;
  readonly keys: number;
  readonly watchers: number;
  /** Mean time between the operations of one client. */
  readonly thinkMs: number;
  readonly requestTimeoutMs: number;
  /** How often a client writes many times at once. */
  readonly burstShare: number;
  readonly clockSkew: number;
  /** How often asking a clock shows that work took time, and how much. */
  readonly workShare: number;
  readonly workMs: number;
  /** Longest usual time of a write to a disk. */
  readonly writeMs: number;
  readonly log: Partial<LogConfig & RaftTuning>;
  readonly store: Partial<StoreConfig>;
  /** Mean time between faults of each kind; Infinity for never. */
  readonly every: Readonly<Record<Fault, number>>;
  /** How often a manager that has just voted, or acknowledged entries, loses its power within moments. */
  readonly crashAfterVoteShare: number;
  readonly crashAfterAppendShare: number;
  /** The share of managers that are, from the beginning, of the next feature level. */
  readonly newerShare: number;
  /** After healing, all but one manager are lost for good, and that one goes on alone. */
  readonly endsWithForce: boolean;
}

export function drawOptions(random: SimRandom): Options {
  const often = (lowMs: number, highMs: number, share: number): number =>
    random.chance(share) ? random.between(lowMs, highMs) : Infinity;
  const managers = random.pick([1, 3, 3, 3, 5]);
  return {
    managers,
    spares: random.pick([0, 1, 2]),
    faultyMs: random.between(8000, 20_000),
    network: drawNetwork(random),
    clients: random.between(2, 6),
    keys: random.pick([1, 2, 4]),
    watchers: random.between(1, 3),
    thinkMs: random.pick([20, 60, 200]),
    burstShare: random.pick([0, 0, 0.02, 0.1]),
    requestTimeoutMs: random.pick([1000, 5000, 20_000]),
    clockSkew: random.pick([0, 0.05, 0.2]),
    workShare: random.pick([0, 0.02, 0.3]),
    workMs: random.pick([1, 5]),
    writeMs: random.pick([0.5, 5, 30]),
    log: drawLogConfig(random),
    store: { historyEvents: random.pick([20, 500]), snapshotChunkBytes: random.pick([100, 2000]), sliceMs: 5 },
    every: {
      crash: often(800, 6000, 0.7),
      stop: often(3000, 12_000, 0.3),
      pause: often(2000, 9000, 0.4),
      partition: often(1500, 7000, 0.6),
      cutOneWay: often(1500, 7000, 0.4),
      cutLeader: often(2500, 8000, 0.4),
      transfer: often(1000, 6000, 0.5),
      join: often(1000, 4000, 0.6),
      remove: often(3000, 9000, 0.5),
      readdress: often(4000, 12_000, 0.2),
      wipe: often(6000, 20_000, 0.15),
      breakDisk: often(4000, 15_000, 0.3),
      fillDisk: often(4000, 15_000, 0.3),
      slowDisk: often(3000, 12_000, 0.3),
      jumpClock: often(2000, 9000, 0.4),
      upgrade: often(1500, 6000, 0.6),
    },
    crashAfterVoteShare: random.pick([0, 0, 0.1, 0.4]),
    crashAfterAppendShare: random.pick([0, 0, 0, 0.002]),
    newerShare: random.pick([0, 0, 0.5, 1]),
    endsWithForce: managers > 1 && random.chance(0.15),
  };
}

function drawNetwork(random: SimRandom): NetworkOptions {
  const isUnordered = random.chance(0.4);
  return {
    isUnordered,
    delayMs: random.pick([1, 10, 60]),
    lateShare: random.pick([0, 0.02]),
    // A loss ends an ordered stream, so it must not happen with every few messages.
    lossShare: isUnordered ? random.pick([0, 0.02, 0.1]) : random.pick([0, 0.001, 0.01]),
    repeatShare: random.pick([0, 0.05]),
  };
}

function drawLogConfig(random: SimRandom): Partial<LogConfig & RaftTuning> {
  return {
    // Little of everything, so that segments, windows and snapshots turn over within seconds.
    segmentBytes: random.pick([32, 128]) * 1024,
    allocateBytes: 8 * 1024,
    frameBytes: random.pick([4, 64]) * 1024,
    snapshotEntries: random.pick([4, 10, 60, 400, 10_000]),
    snapshotsKept: random.pick([0, 0, 2]),
    snapshotRetryMs: 500,
    closeTimeoutMs: 5000,
    applySliceMs: random.pick([1, 5]),
    messageBytes: random.pick([100, 1000, 256 * 1024]),
    inflightMessages: random.pick([2, 16, 256]),
    inflightBytes: 1024 * 1024,
    uncommittedBytes: random.pick([4000, 1024 * 1024]),
    applyingBytes: random.pick([1, 2000, 4 * 1024 * 1024]),
    entriesKept: random.pick([0, 5, 500]),
    learnerLagEntries: random.pick([0, 10, 1000]),
    waitingProposals: random.pick([20, 10_000]),
  };
}
