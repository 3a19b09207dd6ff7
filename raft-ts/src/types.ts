/**
 * A node's id: a positive integer, at most 2^53 - 3. Ids, terms and indexes are plain numbers; the library refuses what
 * a number cannot hold exactly.
 */
export type NodeId = number;

/** No node: no leader, no vote, no sender. */
export const NONE: NodeId = 0;

/** The local thread that writes to stable storage, as a message target (asynchronous storage writes). */
export const APPEND_THREAD: NodeId = Number.MAX_SAFE_INTEGER;

/** The local thread that applies committed entries, as a message target (asynchronous storage writes). */
export const APPLY_THREAD: NodeId = Number.MAX_SAFE_INTEGER - 1;

/** Whether an id names one of the two local threads. */
export function isLocalTarget(id: NodeId): boolean {
  return id === APPEND_THREAD || id === APPLY_THREAD;
}

/** What an entry carries: the application's data, or a configuration change in its old or its new form. */
export type EntryType = 'EntryNormal' | 'EntryConfChange' | 'EntryConfChangeV2';

/** One record of the replicated log. */
export interface Entry {
  readonly type: EntryType;
  /** The term of the leader that made it. */
  readonly term: number;
  /** Its position. Invariant: consecutive in a log, from 1. */
  readonly index: number;
  readonly data: Uint8Array;
}

/** What must survive a restart, beside the entries. */
export interface HardState {
  readonly term: number;
  readonly vote: NodeId;
  /** May be written without a flush: a node that loses it learns it again. */
  readonly commit: number;
}

/** Who takes part. In a joint configuration `votersOutgoing` is the one being left. */
export interface ConfState {
  readonly voters: readonly NodeId[];
  readonly learners: readonly NodeId[];
  readonly votersOutgoing: readonly NodeId[];
  /** Voters of the outgoing configuration that become learners when it is left. */
  readonly learnersNext: readonly NodeId[];
  /** The joint configuration is left without being asked. */
  readonly autoLeave: boolean;
}

/** The application's state as of an entry, in place of all entries up to it. */
export interface Snapshot {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
  readonly data: Uint8Array;
}

/** What changes too often to be stored. */
export interface SoftState {
  readonly lead: NodeId;
  readonly state: StateType;
}

export type StateType = 'StateFollower' | 'StatePreCandidate' | 'StateCandidate' | 'StateLeader';

/** Answer to `readIndex`: once the application has applied `index`, a read is linearizable. */
export interface ReadState {
  readonly index: number;
  /** What the caller passed to `readIndex`. */
  readonly context: Uint8Array;
}

/** Index and term name an entry: two logs with the same pair agree on it and on everything before it. */
export interface EntryId {
  readonly term: number;
  readonly index: number;
}

export const NO_DATA: Uint8Array = new Uint8Array(0);

export const EMPTY_HARD_STATE: HardState = { term: 0, vote: NONE, commit: 0 };

export const EMPTY_CONF_STATE: ConfState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

export function isEmptyHardState(state: HardState): boolean {
  return state.term === 0 && state.vote === NONE && state.commit === 0;
}

export function sameHardState(a: HardState, b: HardState): boolean {
  return a.term === b.term && a.vote === b.vote && a.commit === b.commit;
}

/** A configuration state from its parts; what is not given is empty. */
export function confState(parts: Partial<ConfState>): ConfState {
  return { ...EMPTY_CONF_STATE, ...parts };
}
