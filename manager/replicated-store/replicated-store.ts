import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '#common/clock.ts';
import { assert, SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { type Random, randomInt } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { systemRandom } from '#common/system/random.ts';
import { eventRecorder } from '#manager/events/index.ts';
import type { Log, LogEntry } from '#manager/log/index.ts';
import {
  applyTransaction,
  baseLost,
  type ChangeGroup,
  type CommitEvents,
  type IndexedStoreView,
  type Prepared,
  type Recorder,
  SnapshotRestorer,
  StoreState,
  saveSnapshot,
  TransactionBuilder,
  WatchHub,
} from '#manager/store/index.ts';
import { CommitStream, type WatchOptions } from './commit-stream.ts';
import { type StoreConfig, storeConfig } from './config.ts';
import { Pending, PendingChain, type PendingOutcome } from './pending-chain.ts';
import { Transaction } from './transaction.ts';

export interface ReplicatedStoreOptions {
  readonly log: Log;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly config?: Partial<StoreConfig>;
  /** What transactions write about themselves; by default, events. */
  readonly recorder?: Recorder;
}

export interface WriteOptions {
  /** On whose behalf the change is made (`common/author.ts`); stands in the log. By default the swarm's own. */
  readonly author?: string;
  /** By default `commitTimeoutMs` of the configuration. After a `timeout` the change may still come into effect. */
  readonly timeoutMs?: number;
}

/** Of a group of a batch: undefined when it was committed, otherwise why nothing of it was. */
export type GroupOutcome = SwarmError | undefined;

export type CommitListener = (commit: CommitEvents, view: IndexedStoreView) => void;

export interface StoreStatus {
  readonly version: number;
  readonly pendingTransactions: number;
  readonly watchers: number;
}

/**
 * This member's copy of the cluster's state, kept by the log. Reads come from immutable views and cost nothing; writes
 * go through the log and are in the view when they resolve. Writes work on the leader only.
 */
export class ReplicatedStore {
  readonly #log: Log;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #config: StoreConfig;
  readonly #hub: WatchHub;
  readonly #recorder: Recorder;
  readonly #commitListeners = new Set<CommitListener>();
  readonly #replaceListeners = new Set<(view: IndexedStoreView) => void>();
  #chain = new PendingChain(StoreState.empty());

  constructor(options: ReplicatedStoreOptions) {
    this.#log = options.log;
    this.#logger = options.logger;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#config = storeConfig(options.config);
    this.#recorder = options.recorder ?? eventRecorder();
    this.#hub = new WatchHub(0, this.#config);
  }

  /** Starts the log; resolves when everything that was acknowledged before is in the view. */
  start(): Promise<void> {
    return this.#log.start({
      restore: (_position, chunks) => this.#restore(chunks),
      apply: (entry) => this.#apply(entry),
      snapshot: () => saveSnapshot(this.#chain.committed, this.#config.snapshotChunkBytes),
    });
  }

  /** What is committed and applied here. On a follower it may be behind; see `readBarrier`. */
  view(): IndexedStoreView {
    return this.#chain.committed;
  }

  /** The state of now as the chunks of a snapshot, made as they are pulled. */
  saved(): { readonly view: IndexedStoreView; readonly chunks: Iterable<Uint8Array> } {
    const state = this.#chain.committed;
    return { view: state, chunks: saveSnapshot(state, this.#config.snapshotChunkBytes) };
  }

  status(): StoreStatus {
    return {
      version: this.#chain.committed.version,
      pendingTransactions: this.#chain.length,
      watchers: this.#hub.watcherCount,
    };
  }

  /** A view that includes everything that any member acknowledged before the call. */
  async readBarrier(options: WriteOptions = {}): Promise<IndexedStoreView> {
    await this.#log.readBarrier({ timeoutMs: options.timeoutMs ?? this.#config.commitTimeoutMs });
    return this.view();
  }

  /**
   * Commits all of the changes or none. Rejects with `out-of-sequence` when an object changed since it was read (also
   * by a change that is still on its way), with `duplicate-name`, `unknown-object`, `too-many`, `too-large`, and with
   * what the log rejects with. A refusal comes once the view shows what it was for, so that who reads again and
   * retries does not meet the same one.
   */
  async commit(changes: ChangeGroup, options: WriteOptions = {}): Promise<void> {
    if (changes.length === 0) return;
    const prepared = this.#tryPrepare(changes, options);
    if (prepared instanceof SwarmError) {
      await this.#settled(options).catch(() => {}); // late or failed: the refusal says what matters
      throw prepared;
    }
    const outcome = await this.#propose(prepared, options);
    if (outcome.kind !== 'committed') throw errorOf(outcome);
  }

  /**
   * Reads and writes in one step that nothing comes between. The callback is synchronous and may run more than once; its
   * result is returned after the commit. What it throws is thrown, and nothing is written.
   */
  async update<T>(change: (transaction: Transaction) => T, options: WriteOptions = {}): Promise<T> {
    let result: { readonly value: T } | undefined;
    await this.#decide((head) => {
      const transaction = new Transaction(head);
      result = { value: change(transaction) };
      return transaction.changes();
    }, options);
    assert(result !== undefined, 'a transaction that was committed has been run');
    return result.value;
  }

  /**
   * Commits what the callback makes of the newest state, which has the changes that are still on their way; all of it
   * or nothing. Like `update`, for deciding code that answers with changes.
   */
  decide(change: (view: IndexedStoreView) => ChangeGroup, options: WriteOptions = {}): Promise<void> {
    return this.#decide(change, options);
  }

  /**
   * Commits many groups, each whole or not at all, packed into as few transactions as the limits allow, in their order.
   * A group that is refused does not hold up the others. Gives way to the event loop between transactions. Resolves
   * with one outcome per group; rejects never.
   */
  async batch(groups: Iterable<ChangeGroup>, options: WriteOptions = {}): Promise<readonly GroupOutcome[]> {
    const outcomes: GroupOutcome[] = [];
    const running = new Set<Promise<void>>();
    const source = groups[Symbol.iterator]();
    let next = source.next();
    while (next.done !== true) {
      while (running.size >= this.#config.batchTransactions) await Promise.race(running);
      while (this.#chain.length >= this.#config.pendingTransactions) await this.#chain.tail?.outcome;
      const sliceStartMs = this.#clock.monotonic();
      // Without a pause from here to the proposal: the head must not move meanwhile.
      const taken: number[] = [];
      const builder = this.#builder(options);
      while (next.done !== true) {
        const group = next.value;
        const added = group.length === 0 ? undefined : builder.add(group);
        if (added?.kind === 'full') break;
        if (added?.kind === 'added') taken.push(outcomes.length);
        outcomes.push(added?.kind === 'refused' ? added.error : undefined);
        next = source.next();
        if (this.#clock.monotonic() - sliceStartMs >= this.#config.sliceMs) break;
      }
      if (!builder.isEmpty) {
        const work = this.#proposeGroups(builder.finish(), options, taken, outcomes).finally(() =>
          running.delete(work),
        );
        running.add(work);
      }
      await nextTurn();
    }
    await Promise.all(running);
    return outcomes;
  }

  /**
   * Calls the listener after each commit, in order, before the writer is told. It must be quick: the log waits. For the
   * parts of a manager that live as long as the store; everyone else watches. Returns the way to stop.
   */
  onCommit(listener: CommitListener): () => void {
    this.#commitListeners.add(listener);
    return () => this.#commitListeners.delete(listener);
  }

  /** Calls the listener when the whole state was replaced by a leader's snapshot, which no commit tells of. */
  onReplaced(listener: (view: IndexedStoreView) => void): () => void {
    this.#replaceListeners.add(listener);
    return () => this.#replaceListeners.delete(listener);
  }

  /** Commits from now on, or after a version that was seen before. Throws `version-gone` when that is too far back. */
  watch(options: WatchOptions = {}): CommitStream {
    return CommitStream.open(this.#hub, options);
  }

  /** The state and everything that comes after it, with nothing missing or told twice. */
  viewAndWatch(options: Omit<WatchOptions, 'after'> = {}): {
    readonly view: IndexedStoreView;
    readonly commits: CommitStream;
  } {
    return { view: this.view(), commits: this.watch({ ...options, after: this.view().version }) };
  }

  /** Finishes what is on its way, ends all watches, closes the log. */
  async close(): Promise<void> {
    await this.#log.close();
    const error = new SwarmError({
      code: 'unavailable',
      reason: 'shutting-down',
      message: 'the manager is shutting down',
      hint: 'try another manager, or again in a moment',
    });
    this.#chain.breakAll({ kind: 'failed', error });
    this.#hub.endAll(error);
  }

  async #decide(change: (head: StoreState) => ChangeGroup, options: WriteOptions): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      this.#checkLeader();
      const changes = change(this.#chain.head);
      const outcome =
        changes.length === 0
          ? await this.#settled(options)
          : await this.#propose(this.#prepare(changes, options), options);
      if (outcome.kind === 'committed') return;
      if (outcome.kind === 'failed' || attempt >= this.#config.updateRetries) throw errorOf(outcome);
    }
  }

  #builder(options: WriteOptions): TransactionBuilder {
    return new TransactionBuilder(this.#chain.head, {
      id: 1 + randomInt(this.#random, 2 ** 48 - 1),
      timeMs: Math.floor(this.#clock.now()),
      author: options.author ?? '',
      recorder: this.#recorder,
    });
  }

  #prepare(changes: ChangeGroup, options: WriteOptions): Prepared {
    const prepared = this.#tryPrepare(changes, options);
    if (prepared instanceof SwarmError) throw prepared;
    return prepared;
  }

  /** The transaction, or why the newest state refuses it. */
  #tryPrepare(changes: ChangeGroup, options: WriteOptions): Prepared | SwarmError {
    this.#checkLeader();
    const builder = this.#builder(options);
    const added = builder.add(changes);
    return added.kind === 'refused' ? added.error : builder.finish();
  }

  /** Says what a follower's refusal would otherwise say less clearly: its state is no base for judging a change. */
  #checkLeader(): void {
    const leadership = this.#log.leadership();
    if (leadership.state === 'leader') return;
    if (leadership.state === 'stopped' && leadership.error !== undefined) throw leadership.error;
    throw new SwarmError({
      code: 'unavailable',
      reason: leadership.state === 'stopped' ? 'shutting-down' : 'not-leader',
      message: leadership.state === 'stopped' ? 'the manager is shutting down' : 'this manager does not lead the swarm',
      hint: 'ask the leader, or try again in a moment',
    });
  }

  /** Puts the transaction behind the others that are on their way. Resolves when its outcome is known. */
  #propose(prepared: Prepared, options: WriteOptions): Promise<PendingOutcome> {
    if (this.#chain.length >= this.#config.pendingTransactions)
      return Promise.resolve({ kind: 'failed', error: tooManyPending(this.#chain.length) });
    const timeoutMs = options.timeoutMs ?? this.#config.commitTimeoutMs;
    const pending = new Pending(prepared);
    this.#chain.push(pending);
    // Success is known from `apply`, which comes before the proposal resolves.
    this.#log.propose(prepared.data, { timeoutMs, ticket: pending }).catch((thrown: unknown) => {
      this.#proposalFailed(pending, SwarmError.from(thrown));
    });
    return pending.outcome;
  }

  #proposalFailed(pending: Pending, error: SwarmError): void {
    const failed: PendingOutcome = { kind: 'failed', error };
    // It may still be committed, and what was built upon it with it: only the caller stops waiting.
    pending.settle(failed);
    if (error.reason !== 'timeout')
      this.#chain.breakAt(pending, failed, NEVER_ENTERED.has(error.reason) ? { kind: 'base-lost' } : failed);
  }

  async #proposeGroups(
    prepared: Prepared,
    options: WriteOptions,
    taken: readonly number[],
    outcomes: GroupOutcome[],
  ): Promise<void> {
    const outcome = await this.#propose(prepared, options);
    if (outcome.kind === 'committed') return;
    for (const position of taken) outcomes[position] = errorOf(outcome);
  }

  /** The outcome of everything that is on its way now: what a transaction that wrote nothing has read. */
  async #settled(options: WriteOptions): Promise<PendingOutcome> {
    const { tail } = this.#chain;
    if (tail === undefined) return { kind: 'committed' };
    const timeoutMs = options.timeoutMs ?? this.#config.commitTimeoutMs;
    return withDeadline(tail.outcome, timeoutMs, 'the changes that were read to be committed', this.#clock);
  }

  #apply(entry: LogEntry): void {
    const pending = entry.ticket as Pending | undefined;
    if (pending !== undefined && pending.prepared.base === this.#chain.committed) {
      this.#committed(pending.prepared.next, pending.prepared.commit);
      return;
    }
    const applied = applyTransaction(this.#chain.committed, entry.data);
    if (applied.kind === 'applied') {
      this.#committed(applied.next, applied.commit);
      return;
    }
    this.#logger.info('skipped a transaction whose base was lost', { index: entry.index, version: applied.version });
    if (pending !== undefined) this.#chain.breakAt(pending, { kind: 'base-lost' }, { kind: 'base-lost' });
  }

  #committed(state: StoreState, commit: CommitEvents): void {
    this.#chain.commit(state);
    this.#hub.publish(commit);
    for (const listener of [...this.#commitListeners]) this.#call(() => listener(commit, state));
  }

  async #restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const restorer = new SnapshotRestorer();
    let sliceStartMs = this.#clock.monotonic();
    for await (const chunk of chunks) {
      restorer.feed(chunk);
      if (this.#clock.monotonic() - sliceStartMs < this.#config.sliceMs) continue;
      await nextTurn();
      sliceStartMs = this.#clock.monotonic();
    }
    const state = restorer.finish();
    this.#chain.breakAll({ kind: 'failed', error: replaced() });
    this.#chain = new PendingChain(state);
    this.#hub.reset(state.version);
    for (const listener of [...this.#replaceListeners]) this.#call(() => listener(state));
  }

  /** A listener's defect must not stop the log, nor keep the others from being told. */
  #call(listener: () => void): void {
    try {
      listener();
    } catch (thrown) {
      this.#logger.error('a listener of the store failed', { error: SwarmError.from(thrown).message, thrown });
    }
  }
}

/** Reasons of the log for not taking a proposal at all; after every other one its outcome is unknown. */
const NEVER_ENTERED: ReadonlySet<string> = new Set(['not-leader', 'too-large', 'too-many', 'shutting-down']);

function errorOf(outcome: Exclude<PendingOutcome, { kind: 'committed' }>): SwarmError {
  return outcome.kind === 'failed' ? outcome.error : baseLost();
}

function replaced(): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'leadership-lost',
    message: 'this manager fell behind and took the state over from the leader; the change may or may not be in it',
    hint: 'look whether the change came into effect before trying again',
  });
}

function tooManyPending(count: number): SwarmError {
  return new SwarmError({
    code: 'exhausted',
    reason: 'too-many',
    message: `${count} changes already wait to be committed`,
    hint: 'try again in a moment; when this lasts, the disk of the state directory is too slow',
  });
}
