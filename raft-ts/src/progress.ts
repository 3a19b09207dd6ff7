import { Inflights } from './inflights.ts';

/**
 * How a leader sends to a follower:
 * - `StateProbe`: where the logs agree is not known; at most one append per heartbeat interval.
 * - `StateReplicate`: optimistic; a window of appends is in flight.
 * - `StateSnapshot`: the follower needs entries that are compacted away; nothing is sent until the snapshot is settled.
 */
export type ProgressState = 'StateProbe' | 'StateReplicate' | 'StateSnapshot';

export interface WindowLimits {
  readonly maxInflightMessages: number;
  readonly maxInflightBytes: number;
}

/** A follower in the eyes of the leader. */
export class Progress {
  /** The highest index known to be stored there. */
  match = 0;
  /** The first index not yet sent. Invariant: match < next. In StateSnapshot: next = pendingSnapshot + 1. */
  next: number;
  /** The highest commit index sent in an append or heartbeat. Invariant: below next whenever it was learned so. */
  sentCommit = 0;
  state: ProgressState = 'StateProbe';
  /** The index of the snapshot under way; zero outside StateSnapshot. */
  pendingSnapshot = 0;
  /** Has answered since the last check of the quorum. */
  recentActive = false;
  /** No append until an answer comes: the one allowed in StateProbe is out, or the window in StateReplicate is full. */
  appendFlowPaused = false;
  inflights: Inflights;
  isLearner: boolean;

  constructor(next: number, isLearner: boolean, limits: WindowLimits) {
    this.next = next;
    this.isLearner = isLearner;
    this.inflights = new Inflights(limits.maxInflightMessages, limits.maxInflightBytes);
  }

  copy(): Progress {
    const { maxMessages, maxBytes } = this.inflights;
    const copy = new Progress(this.next, this.isLearner, {
      maxInflightMessages: maxMessages,
      maxInflightBytes: maxBytes,
    });
    copy.match = this.match;
    copy.sentCommit = this.sentCommit;
    copy.state = this.state;
    copy.pendingSnapshot = this.pendingSnapshot;
    copy.recentActive = this.recentActive;
    copy.appendFlowPaused = this.appendFlowPaused;
    copy.inflights = this.inflights.copy();
    return copy;
  }

  #enter(state: ProgressState): void {
    this.appendFlowPaused = false;
    this.pendingSnapshot = 0;
    this.state = state;
    this.inflights.reset();
  }

  /** Starts over just after what is known to be there, or after the snapshot that was on its way. */
  becomeProbe(): void {
    const pending = this.state === 'StateSnapshot' ? this.pendingSnapshot : 0;
    this.#enter('StateProbe');
    this.next = Math.max(this.match, pending) + 1;
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
  }

  becomeReplicate(): void {
    this.#enter('StateReplicate');
    this.next = this.match + 1;
  }

  becomeSnapshot(index: number): void {
    this.#enter('StateSnapshot');
    this.pendingSnapshot = index;
    this.next = index + 1;
    this.sentCommit = index;
  }

  /** An append with these entries is on its way. */
  sentEntries(count: number, bytes: number): void {
    if (this.state === 'StateReplicate') {
      if (count > 0) {
        this.next += count;
        this.inflights.add(this.next - 1, bytes);
      }
      // A full window stays paused after one empty append, until a heartbeat answer shows the follower alive.
      this.appendFlowPaused = this.inflights.full();
    } else if (count > 0) {
      this.appendFlowPaused = true;
    }
  }

  sentCommitIndex(commit: number): void {
    this.sentCommit = commit;
  }

  /** Whether an append could tell the follower of a higher commit index than it has been told. */
  canBumpCommit(commit: number): boolean {
    return commit > this.sentCommit && this.sentCommit < this.next - 1;
  }

  /** The follower has stored everything up to this index. False if that is old news. */
  maybeUpdate(index: number): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    this.appendFlowPaused = false;
    return true;
  }

  /**
   * The follower refused an append whose preceding entry was at `rejected`; its log may agree up to `hint`. False if
   * the refusal is stale: an answer to a message overtaken by others.
   */
  maybeDecreaseTo(rejected: number, hint: number): boolean {
    if (this.state === 'StateReplicate') {
      if (rejected <= this.match) return false;
      this.next = this.match + 1;
      this.sentCommit = Math.min(this.sentCommit, this.next - 1);
      return true;
    }
    if (this.next - 1 !== rejected) return false;
    this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1);
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
    this.appendFlowPaused = false;
    return true;
  }

  isPaused(): boolean {
    return this.state === 'StateSnapshot' || this.appendFlowPaused;
  }

  describe(): string {
    const inflight = this.inflights.count;
    return [
      `${this.state} match=${this.match} next=${this.next}`,
      this.isLearner ? ' learner' : '',
      this.isPaused() ? ' paused' : '',
      this.pendingSnapshot > 0 ? ` pendingSnap=${this.pendingSnapshot}` : '',
      this.recentActive ? '' : ' inactive',
      inflight > 0 ? ` inflight=${inflight}${this.inflights.full() ? '[full]' : ''}` : '',
    ].join('');
  }
}
