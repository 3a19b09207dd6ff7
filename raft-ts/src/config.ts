import { RaftError } from './errors.ts';
import { type Logger, SILENT_LOGGER } from './logger.ts';
import type { Storage } from './storage.ts';
import { isLocalTarget, NONE, type NodeId } from './types.ts';

/**
 * How a linearizable read is confirmed. `safe`: by a round of heartbeats to a quorum. `leaseBased`: by the clock, if a
 * quorum answered a heartbeat sent less than an election timeout ago; else by a round of heartbeats.
 */
export type ReadOnlyOption = 'safe' | 'leaseBased';

/** A whole number from 0 up to, but not including, `bound`. */
export type RandomBelow = (bound: number) => number;

/** What a node is made from. Ticks are whatever interval the application calls `tick()` at. */
export interface RaftConfig {
  readonly id: NodeId;
  readonly storage: Storage;
  /** The only source of chance: spreads election timeouts, so that candidates do not collide. */
  readonly random: RandomBelow;
  /** Ticks without a leader before an election; the actual timeout is drawn from [electionTick, 2 * electionTick). */
  readonly electionTick: number;
  /** Ticks between heartbeats. Well below `electionTick`: ten times is usual. */
  readonly heartbeatTick: number;
  readonly logger?: Logger;
  /** The last index the application has applied, after a restart; entries up to it are not handed out again. */
  readonly applied?: number;
  /** Writes to stable storage are messages to local threads instead of the application's duty before `advance()`. */
  readonly asyncStorageWrites?: boolean;
  /** Bytes of entries in one append message; a single larger entry still goes. Zero: one entry a message. */
  readonly maxBytesPerMessage?: number;
  /** Bytes of committed entries handed out and not yet applied; a single larger one still goes. Default: `maxBytesPerMessage`. */
  readonly maxCommittedBytesPerReady?: number;
  /** Bytes of proposals in the uncommitted tail, beyond which a leader drops proposals. */
  readonly maxUncommittedBytes?: number;
  /** Appends in flight to one follower. */
  readonly maxInflightMessages?: number;
  /** Bytes in flight to one follower. At least `maxBytesPerMessage`. */
  readonly maxInflightBytes?: number;
  /** A leader that has not heard from a quorum for an election timeout steps down; votes are refused under a leader. */
  readonly checkQuorum?: boolean;
  /** Ask before disturbing: an election starts with a poll that changes no term. */
  readonly preVote?: boolean;
  readonly readOnly?: ReadOnlyOption;
  /** Ticks taken off the lease for clocks of different speed. Default: a quarter of `electionTick`. */
  readonly leaseMarginTicks?: number;
  /** A follower drops proposals instead of passing them to the leader. */
  readonly disableProposalForwarding?: boolean;
  /** For applications that serialize configuration changes themselves: no check when one is proposed. */
  readonly disableConfChangeValidation?: boolean;
  /** A leader that is removed or made a learner steps down at once. */
  readonly stepDownOnRemoval?: boolean;
}

/** A configuration with every default filled in and every value checked. */
export type CheckedConfig = Required<RaftConfig>;

const DEFAULTS = {
  logger: SILENT_LOGGER,
  applied: 0,
  asyncStorageWrites: false,
  maxBytesPerMessage: Infinity,
  maxUncommittedBytes: Infinity,
  maxInflightMessages: 256,
  maxInflightBytes: Infinity,
  checkQuorum: false,
  preVote: false,
  readOnly: 'safe',
  disableProposalForwarding: false,
  disableConfChangeValidation: false,
  stepDownOnRemoval: false,
} as const;

function check(condition: boolean, text: string): void {
  if (!condition) throw new RaftError('invalidConfig', text);
}

/** Fills in the defaults; throws a RaftError `invalidConfig` that names what cannot be. */
export function checkedConfig(config: RaftConfig): CheckedConfig {
  const merged = {
    ...DEFAULTS,
    maxCommittedBytesPerReady: Math.max(1, config.maxBytesPerMessage ?? DEFAULTS.maxBytesPerMessage),
    leaseMarginTicks: Math.ceil(config.electionTick / 4),
    ...config,
  };
  check(Number.isSafeInteger(merged.id) && merged.id > 0, 'cannot use none as id');
  check(merged.id !== NONE && !isLocalTarget(merged.id), 'cannot use local target as id');
  check(Number.isSafeInteger(merged.heartbeatTick) && merged.heartbeatTick > 0, 'heartbeat tick must be positive');
  check(
    Number.isSafeInteger(merged.electionTick) && merged.electionTick > merged.heartbeatTick,
    'election tick must be greater than heartbeat tick',
  );
  check(merged.maxInflightMessages > 0, 'max inflight messages must be positive');
  check(merged.maxCommittedBytesPerReady > 0, 'max committed bytes per ready must be positive');
  check(
    merged.maxInflightBytes === Infinity || merged.maxInflightBytes >= merged.maxBytesPerMessage,
    'max inflight bytes must be at least max bytes per message',
  );
  check(merged.maxInflightBytes > 0, 'max inflight bytes must be positive');
  check(merged.readOnly === 'safe' || merged.checkQuorum, 'checkQuorum must be enabled when reads are lease-based');
  check(merged.leaseMarginTicks >= 0, 'lease margin must not be negative');
  return merged;
}
