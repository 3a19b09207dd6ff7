/** Who leads, as this manager sees it, and waiting until somebody does. */
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { ManagerPeer } from '#gen/swarm/v1/objects.ts';
import type { Leadership } from '#manager/log/index.ts';

/** The part of the log that tells who leads. */
export interface LeadershipSource {
  leadership(): Leadership;
  onLeadership(listener: (leadership: Leadership) => void): () => void;
  members(): readonly ManagerPeer[];
  /** Why there is no leader, and what to do; undefined while there is one. */
  quorumProblem(): SwarmError | undefined;
}

export type Leader =
  /** This manager. */
  { readonly kind: 'self' } | ({ readonly kind: 'other' } & ManagerPeer);

/** No news tells of the address of a leader that this member has yet to hear of. */
const ADDRESS_POLL_MS = 250;

export class LeaderWatch {
  readonly #log: LeadershipSource;
  readonly #clock: Clock;
  readonly #waitMs: number;
  readonly #listeners = new Set<() => void>();
  readonly #unsubscribe: () => void;
  /** Monotonic; undefined while there is a leader. */
  #leaderlessSinceMs: number | undefined;
  #closed = false;

  constructor(log: LeadershipSource, clock: Clock, waitMs: number) {
    this.#log = log;
    this.#clock = clock;
    this.#waitMs = waitMs;
    this.#note();
    this.#unsubscribe = log.onLeadership(() => {
      this.#note();
      for (const listener of [...this.#listeners]) listener();
    });
  }

  /** Whether this manager leads. */
  get leading(): boolean {
    return this.#log.leadership().state === 'leader';
  }

  /** The leader; undefined while there is none, or its address is not known yet. @throws SwarmError once the log has stopped */
  current(): Leader | undefined {
    if (this.#closed) throw stopped();
    const leadership = this.#log.leadership();
    switch (leadership.state) {
      case 'leader':
        return { kind: 'self' };
      case 'none':
        return undefined;
      case 'follower': {
        const member = this.#log.members().find(({ nodeId }) => nodeId === leadership.leader);
        return member === undefined ? undefined : { kind: 'other', nodeId: member.nodeId, address: member.address };
      }
      case 'stopped':
        throw leadership.error ?? stopped();
    }
  }

  /**
   * The leader, waited for as long as it takes to elect one: the time that there has been none already is part of it.
   * @throws SwarmError `no-quorum` when nobody leads by then, or by `deadlineMs` (monotonic); the signal's reason.
   */
  async leader(options: { readonly deadlineMs?: number; readonly signal?: AbortSignal } = {}): Promise<Leader> {
    const electedByMs = (this.#leaderlessSinceMs ?? this.#clock.monotonic()) + this.#waitMs;
    return this.leaderUntil(Math.min(electedByMs, options.deadlineMs ?? electedByMs), options.signal);
  }

  /** The leader, waited for until that time (monotonic), however long there has been none. Throws like `leader`. */
  async leaderUntil(waitUntilMs: number, signal?: AbortSignal): Promise<Leader> {
    for (;;) {
      signal?.throwIfAborted();
      const leader = this.current();
      if (leader !== undefined) return leader;
      const leftMs = waitUntilMs - this.#clock.monotonic();
      if (leftMs <= 0) throw this.#log.quorumProblem() ?? noLeader();
      await this.changed(Math.min(leftMs, ADDRESS_POLL_MS), signal);
    }
  }

  /** Resolves at the next news of the leadership, after the time, or when the signal is aborted. */
  changed(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      let cancel: CancelTimer = () => {};
      const done = (): void => {
        cancel();
        this.#listeners.delete(done);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      cancel = this.#clock.setTimer(timeoutMs, done);
      this.#listeners.add(done);
      signal?.addEventListener('abort', done, { once: true });
      if (signal?.aborted === true) done();
    });
  }

  /** Calls the listener at every change. Returns the way to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whoever waits is told that the manager is shutting down. */
  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    for (const listener of [...this.#listeners]) listener();
  }

  #note(): void {
    const leadership = this.#log.leadership();
    const led = leadership.state === 'leader' || (leadership.state === 'follower' && leadership.leader !== undefined);
    if (led) this.#leaderlessSinceMs = undefined;
    else this.#leaderlessSinceMs ??= this.#clock.monotonic();
  }
}

function stopped(): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'shutting-down',
    message: 'the manager is shutting down',
    hint: 'try another manager, or again in a moment',
  });
}

function noLeader(): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'no-quorum',
    message: 'the swarm does not have a leader: it is possible that too few managers are online',
    hint: 'make sure that more than half of the managers are online',
  });
}
