import type { RawNode } from 'raft-ts';
import type { Clock } from '#common/clock.ts';
import type { SwarmError } from '#common/errors.ts';
import type { Leadership } from '#manager/log/index.ts';

/** The one place where it is decided, and told, who leads as far as this member's users are concerned. */
export class LeadershipBook {
  readonly #clock: Clock;
  readonly #nodeIdOf: (raftId: number) => string | undefined;
  readonly #silenceMs: number;
  readonly #listeners = new Set<(leadership: Leadership) => void>();
  #current: Leadership = { state: 'none' };
  #leaderlessSinceMs: number | undefined;
  #hasHadLeader = false;

  /** A leader that gives up for want of a quorum has been without one for `silenceMs` already. */
  constructor(clock: Clock, nodeIdOf: (raftId: number) => string | undefined, silenceMs: number) {
    this.#clock = clock;
    this.#silenceMs = silenceMs;
    this.#nodeIdOf = nodeIdOf;
    this.#leaderlessSinceMs = clock.monotonic();
  }

  get current(): Leadership {
    return this.#current;
  }

  /** For how long no leader has been known; undefined while one is. */
  get leaderlessMs(): number | undefined {
    return this.#leaderlessSinceMs === undefined ? undefined : this.#clock.monotonic() - this.#leaderlessSinceMs;
  }

  /** Whether this member has heard of a leader since it was started, or was one. */
  get hasHadLeader(): boolean {
    return this.#hasHadLeader;
  }

  /** The log is recovered: from now on it waits for a leader. */
  begin(): void {
    this.#leaderlessSinceMs = this.#clock.monotonic();
  }

  /** What the node says now. It leads once an entry of its own term is applied: then so is everything before it. */
  observe(node: RawNode, appliedTerm: number): void {
    const leads = node.state === 'StateLeader';
    if (node.lead !== 0) {
      this.#leaderlessSinceMs = undefined;
      this.#hasHadLeader = true;
    } else this.#leaderlessSinceMs ??= this.#clock.monotonic() - (this.#gaveUp(node) ? this.#silenceMs : 0);
    if (leads) this.#set(appliedTerm === node.term ? { state: 'leader', term: node.term } : { state: 'none' });
    else if (node.lead === 0) this.#set({ state: 'none' });
    else this.#set({ state: 'follower', term: node.term, leader: this.#nodeIdOf(node.lead) });
  }

  /** For good. The first error stays. */
  stop(error: SwarmError | undefined): void {
    if (this.#current.state === 'stopped' && this.#current.error === undefined)
      this.#current = { state: 'stopped', error };
    else this.#set({ state: 'stopped', error });
  }

  onChange(listener: (leadership: Leadership) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #gaveUp({ term }: RawNode): boolean {
    return this.#current.state === 'leader' && this.#current.term === term;
  }

  #set(next: Leadership): void {
    const before = this.#current;
    if (before.state === 'stopped' || same(before, next)) return;
    this.#current = next;
    for (const listener of [...this.#listeners]) listener(next);
  }
}

function same(left: Leadership, right: Leadership): boolean {
  if (left.state === 'leader') return right.state === 'leader' && left.term === right.term;
  if (left.state !== 'follower') return left.state === right.state;
  return right.state === 'follower' && left.term === right.term && left.leader === right.leader;
}
