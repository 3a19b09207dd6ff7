export { CommitStream, type WatchOptions } from './commit-stream.ts';
export { DEFAULT_STORE_CONFIG, type StoreConfig } from './config.ts';
export {
  type CommitListener,
  type GroupOutcome,
  ReplicatedStore,
  type ReplicatedStoreOptions,
  type StoreStatus,
  type WriteOptions,
} from './replicated-store.ts';
export { Transaction } from './transaction.ts';
