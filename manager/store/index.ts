export { type Applied, applyTransaction } from './apply.ts';
export { Editor } from './editor.ts';
export { baseLost, outOfSequence, unknownObject } from './refusals.ts';
export { SnapshotRestorer, saveSnapshot } from './snapshot.ts';
export { StoreState } from './state.ts';
export { definitionOf, type MultipleIndex, numberKey, TABLE_NAMES, type UniqueIndex } from './tables.ts';
export { type Added, type Prepared, TransactionBuilder, type TransactionInit } from './transaction-builder.ts';
export type {
  Change,
  ChangeGroup,
  ChangeOf,
  CommitEvents,
  EventOf,
  IndexedStoreView,
  Loop,
  NamedTable,
  Plan,
  StoredObject,
  StoreEvent,
  StoreView,
  TableName,
  Tables,
} from './types.ts';
export { type HistoryLimits, type SubscribeOptions, type Subscription, WatchHub } from './watch-hub.ts';
