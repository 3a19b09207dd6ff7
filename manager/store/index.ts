export { type Applied, applyTransaction } from './apply.ts';
export { Editor } from './editor.ts';
export { Lookups } from './lookups.ts';
export { baseLost, outOfSequence, unknownObject } from './refusals.ts';
export { SnapshotRestorer, saveSnapshot } from './snapshot.ts';
export { StoreState } from './state.ts';
export type { NamedTable, StoredObject, TableName, Tables } from './stored-objects.ts';
export { definitionOf, type MultipleIndex, numberKey, TABLE_NAMES, type UniqueIndex } from './tables.ts';
export {
  type Added,
  type Prepared,
  type Recorder,
  TransactionBuilder,
  type TransactionInit,
} from './transaction-builder.ts';
export type {
  Change,
  ChangeGroup,
  ChangeOf,
  CommitEvents,
  EventOf,
  IndexedStoreView,
  Loop,
  Plan,
  StoreEvent,
  StoreView,
} from './types.ts';
export { type HistoryLimits, type SubscribeOptions, type Subscription, WatchHub } from './watch-hub.ts';
