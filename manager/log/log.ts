import type { SwarmError } from '#common/errors.ts';

/**
 * The seam between the store and what makes its changes durable and agreed. A log takes proposals, orders them, and
 * calls `apply` for every one that is committed, in the same order on every member. Behind it stands Raft
 * (`manager/raft`), for one manager as for several.
 *
 * What a user of the seam may rely on:
 * 1. Entries proposed by one process are ordered as `propose` was called, but an earlier one may be lost while a later
 *    one is committed (a change of leader, a dropped message). Whoever builds one proposal upon another must make the
 *    later one refusable.
 * 2. A proposal that resolved is durable on a quorum and applied here.
 * 3. A proposal that rejected with `not-leader`, `too-large`, `too-many` or `shutting-down` never entered the log. After
 *    `timeout`, `leadership-lost`, `log-failed` or `disk-full` its outcome is unknown: it may be applied later, also
 *    after a restart. Every proposal is settled, by its timeout at the latest.
 */
export interface Log {
  /**
   * Recovers what is on disk through `restore` and `apply`, then takes part. Resolves when the state machine has
   * everything that was acknowledged before. Called once.
   */
  start(machine: StateMachine): Promise<void>;

  /** Resolves once the entry is committed and applied on this member. The data is not copied: leave it alone. */
  propose(data: Uint8Array, options: ProposeOptions): Promise<LogPosition>;

  /**
   * Resolves with an applied index such that a read of the state machine from now on sees everything that was
   * acknowledged by any member before the call.
   */
  readBarrier(options: WaitOptions): Promise<number>;

  leadership(): Leadership;

  /** Calls the listener at every change, after the state machine has caught up with it. Returns the way to stop. */
  onLeadership(listener: (leadership: Leadership) => void): () => void;

  status(): LogStatus;

  /** Takes no more proposals, finishes those that wait, releases files and lock. Never rejects; safe to repeat. */
  close(): Promise<void>;
}

export interface WaitOptions {
  /** How long to wait before rejecting with `timeout`. */
  readonly timeoutMs: number;
}

export interface ProposeOptions extends WaitOptions {
  /** Comes back with the entry if this proposal, and no other, is applied here while the log runs. */
  readonly ticket?: object | undefined;
}

export interface LogPosition {
  /** 1, 2, 3, ... without gaps. Not every index is an entry that is applied: the log has entries of its own. */
  readonly index: number;
  /** Never goes back from one index to the next. */
  readonly term: number;
}

export interface LogEntry extends LogPosition {
  readonly data: Uint8Array;
  readonly ticket: object | undefined;
}

/** What the log drives. Obligations of the implementer. */
export interface StateMachine {
  /**
   * Replaces the whole state by the snapshot's. Called at the start and, on a member that fell behind, at any time
   * between two entries. A rejection stops the log.
   */
  restore(position: LogPosition, chunks: AsyncIterable<Uint8Array>): Promise<void>;

  /** Applies one entry. Synchronous, quick, deterministic: the same on every member. A throw stops the log. */
  apply(entry: LogEntry): void;

  /**
   * The state as it is at the call (a generator must not look at it later), as chunks that are pulled one at a time
   * while further entries are applied. Each pull must be quick (a chunk of some 64 KiB). `restore` gets the same chunks,
   * none split or joined.
   */
  snapshot(): Iterable<Uint8Array>;
}

export type Leadership =
  /** Recovering, or without a leader. */
  | { readonly state: 'none' }
  /** This member takes proposals, and has applied everything that was committed before it led. */
  | { readonly state: 'leader'; readonly term: number }
  | { readonly state: 'follower'; readonly term: number; readonly leader: string | undefined }
  /** For good: closed, or failed with the error. A manager whose log failed must stop. */
  | { readonly state: 'stopped'; readonly error: SwarmError | undefined };

export interface LogStatus {
  readonly leadership: Leadership;
  /** Index of the last entry that a quorum holds durably. */
  readonly committedIndex: number;
  readonly appliedIndex: number;
  /** Proposals that wait for the disk or to be applied. */
  readonly waiting: number;
  /** Of the newest snapshot; 0 before the first. */
  readonly snapshotIndex: number;
  readonly snapshotError: SwarmError | undefined;
  /** Bytes that the log's files hold, snapshots apart. */
  readonly logBytes: number;
}

/** Told about the log's work, for metrics. Methods must be quick and must not throw. */
export interface LogObserver {
  /** One batch of proposals became durable. */
  flushed(durationMs: number, records: number, bytes: number): void;
  snapshotWritten(durationMs: number, bytes: number): void;
  recovered(durationMs: number, entries: number): void;
}
