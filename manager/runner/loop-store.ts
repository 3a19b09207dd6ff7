import type { SwarmError } from '#common/errors.ts';
import type { ChangeGroup, CommitEvents, StoreView } from '#manager/store/index.ts';

/** What the runner needs of the store. Obligations of the implementer. */
export interface LoopStore {
  /** The present state. */
  view(): StoreView;

  /**
   * Calls the listener after each commit, in order and without gap, before `view` can be read by anyone else: at every
   * turn of the event loop the commits that were told make up the view. Returns the way to stop.
   */
  onCommit(listener: (commit: CommitEvents) => void): () => void;

  /**
   * Commits groups, each whole or not at all, in order, in transactions within the limits. Resolves with one outcome
   * per group that was taken from the iterable (undefined: committed), when all of them have been told to listeners.
   */
  batch(groups: Iterable<ChangeGroup>): Promise<readonly (SwarmError | undefined)[]>;
}
