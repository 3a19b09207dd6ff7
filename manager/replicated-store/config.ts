import { assert } from '#common/errors.ts';

/** Tuning values of the replicated store. */
export interface StoreConfig {
  /** A commit that takes longer rejects with `timeout`, its outcome unknown. */
  readonly commitTimeoutMs: number;
  /** Transactions that may be on their way to the log at once; more are refused. */
  readonly pendingTransactions: number;
  /** Of one batch, transactions that are on their way at once. */
  readonly batchTransactions: number;
  /** An `update` is repeated this often when a change before it was lost. */
  readonly updateRetries: number;
  /** Chunks of a snapshot are about this long. */
  readonly snapshotChunkBytes: number;
  /** Events kept for watchers that resume. */
  readonly historyEvents: number;
  /** Events that may wait for one watcher. At least `historyEvents`, or nobody could resume from far back. */
  readonly watcherEvents: number;
  /** Work on large batches and snapshots gives way to the event loop after this long. */
  readonly sliceMs: number;
}

export const DEFAULT_STORE_CONFIG: StoreConfig = {
  // Swarm waits 20 s for any request; a log that takes longer has lost its disk or its quorum.
  commitTimeoutMs: 20_000,
  // At 1 ms a flush and hundreds of transactions in one, about ten flushes of work.
  pendingTransactions: 4096,
  // Enough that the next one is ready when a flush ends; more would keep single changes waiting behind a batch.
  batchTransactions: 4,
  updateRetries: 3,
  // About 120 tasks: well under 1 ms to encode.
  snapshotChunkBytes: 64 * 1024,
  // A hundred transactions of full size, or minutes of an ordinary cluster; some 10 MB at worst.
  historyEvents: 10_000,
  watcherEvents: 20_000,
  // Half of what no part may exceed.
  sliceMs: 5,
};

export function storeConfig(changes: Partial<StoreConfig> = {}): StoreConfig {
  const config = { ...DEFAULT_STORE_CONFIG, ...changes };
  assert(config.watcherEvents >= config.historyEvents, 'a watcher can hold the whole history');
  return config;
}
