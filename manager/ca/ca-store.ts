import type { Change, CommitEvents, StoreView } from '#manager/store/index.ts';

/** The part of a view that the certificate authority reads. */
export type CaView = Pick<StoreView, 'all' | 'get' | 'count' | 'cluster' | 'tasksOfNode'>;

/** The part of the store that the certificate authority needs. */
export interface CaStore {
  view(): CaView;
  /**
   * Commits all or nothing, for the author (`common/author.ts`); rejects with code `conflict` (or `exists`) when an object
   * changed since it was read.
   */
  commit(changes: readonly Change[], options?: { readonly author?: string }): Promise<void>;
  /** Calls `listener` after every commit from now on, until the returned function is called. */
  onCommit(listener: (commit: CommitEvents) => void): () => void;
}
