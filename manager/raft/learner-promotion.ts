import type { RawNode } from 'raft-ts';

/**
 * When a learner becomes a voter: once it has caught up so far that it would not hold up what is to be committed, and has
 * been like that for a while. A machine that comes and goes would cost the others their quorum.
 */
export class LearnerPromotion {
  /** Since when each learner could be a voter, by raft id. */
  readonly #readySinceMs = new Map<number, number>();

  /**
   * A learner that may have a vote now; undefined when there is none. To be asked at every tick of a leader, since what is
   * missed between two is not known. `isReachable`: whether it was heard of just now.
   */
  next(
    node: RawNode,
    learners: readonly number[],
    limits: { readonly lagEntries: number; readonly stableMs: number },
    isReachable: (raftId: number) => boolean,
    nowMs: number,
  ): number | undefined {
    if (learners.length === 0 || node.state !== 'StateLeader') {
      this.forget();
      return undefined;
    }
    const { progress } = node.status();
    let promoted: number | undefined;
    // What the log itself has of who is active says nothing here: a leader forgets it at every look at its quorum.
    for (const raftId of learners) {
      const member = progress.get(raftId);
      const isReady =
        member?.isLearner === true &&
        member.state === 'StateReplicate' &&
        member.match + limits.lagEntries >= node.committed &&
        isReachable(raftId);
      if (!isReady) this.#readySinceMs.delete(raftId);
      else if (this.#readyForMs(raftId, nowMs) >= limits.stableMs) promoted ??= raftId;
    }
    for (const raftId of this.#readySinceMs.keys()) if (!learners.includes(raftId)) this.#readySinceMs.delete(raftId);
    return promoted;
  }

  /** This member does not lead: what it has seen is over. */
  forget(): void {
    this.#readySinceMs.clear();
  }

  #readyForMs(raftId: number, nowMs: number): number {
    const sinceMs = this.#readySinceMs.get(raftId) ?? nowMs;
    this.#readySinceMs.set(raftId, sinceMs);
    return nowMs - sinceMs;
  }
}
