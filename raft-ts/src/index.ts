/** The public door of the library; everything else is its own. */
export { assertMembership, type ChangeOutcome, Changer, type Membership, restoreMembership } from './changer.ts';
export {
  type AnyConfChange,
  asV2,
  type ConfChange,
  type ConfChangeSingle,
  type ConfChangeTransition,
  type ConfChangeType,
  type ConfChangeV2,
  confChange,
  formatChanges,
  LEAVE_JOINT,
  type ParsedChanges,
  parseChanges,
} from './conf-change.ts';
export { decodeConfChange, encodeConfChange } from './conf-change-codec.ts';
export { checkedConfig, type RaftConfig, type RandomBelow, type ReadOnlyOption } from './config.ts';
export {
  type DataFormatter,
  describeConfState,
  describeEntries,
  describeEntry,
  describeHardState,
  describeMessage,
  describeReady,
  describeSnapshot,
  describeSoftState,
  describeTarget,
  quoteBytes,
} from './describe.ts';
export { RaftError, type RaftErrorCode, REFUSAL_TEXT, type Refusal } from './errors.ts';
export { type Logger, SILENT_LOGGER } from './logger.ts';
export { MemoryStorage } from './memory-storage.ts';
export { isLocalMessage, isResponseMessage, type Message, type MessageType, message } from './message.ts';
export type { ProgressState, WindowLimits } from './progress.ts';
export {
  committedIndex,
  describeIndex,
  isVoter,
  type JointQuorum,
  jointCommittedIndex,
  jointVoteResult,
  jointVoters,
  type Majority,
  majority,
  quorumSize,
  type VoteResult,
  voteResult,
} from './quorum.ts';
export { describeAcknowledged } from './quorum-describe.ts';
export { RawNode } from './raw-node.ts';
export type { Ready } from './ready.ts';
export { entriesSize, entrySize, limitSize, payloadSize } from './sizes.ts';
export type { MemberProgress, Status } from './status.ts';
export type { Gap, Storage } from './storage.ts';
export { type Configuration, describeConfiguration, describeProgress, type ProgressMap } from './tracker.ts';
export {
  APPEND_THREAD,
  APPLY_THREAD,
  type ConfState,
  confState,
  EMPTY_CONF_STATE,
  EMPTY_HARD_STATE,
  type Entry,
  type EntryId,
  type EntryType,
  type HardState,
  isEmptyHardState,
  isLocalTarget,
  NO_DATA,
  NONE,
  type NodeId,
  type ReadState,
  type Snapshot,
  type SoftState,
  type StateType,
} from './types.ts';
