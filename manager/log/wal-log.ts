import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '#common/clock.ts';
import { assert, SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { DEFAULT_LOG_CONFIG, type LogConfig } from './config.ts';
import type { Disk, DiskLock } from './disk/disk.ts';
import { diskError, isDiskFull } from './disk/errors.ts';
import { nodeDisk } from './disk/node-disk.ts';
import type {
  Leadership,
  Log,
  LogObserver,
  LogPosition,
  LogStatus,
  ProposeOptions,
  StateMachine,
  WaitOptions,
} from './log.ts';
import { ProposalQueue } from './proposal-queue.ts';
import { recoverLog } from './recover-log.ts';
import type { DataKeys } from './sealing.ts';
import { SnapshotFiles } from './snapshot/snapshot-files.ts';
import { RECORD_TYPES } from './wal/frame.ts';
import { Wal } from './wal/wal.ts';

export interface WalLogOptions {
  /** Of this log alone; made when missing. */
  readonly directory: string;
  readonly keys: DataKeys;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly disk?: Disk;
  readonly config?: Partial<LogConfig>;
  readonly observer?: LogObserver;
}

/** The only term of a log with one member. */
const TERM = 1;
const FIRST: LogPosition = { index: 0, term: 0 };

/**
 * The log of a cluster with one manager: what is durable here is committed. Always leads, until it is closed or the
 * disk fails; after the first disk error it takes nothing more, and the manager must be restarted.
 */
export class WalLog implements Log {
  readonly #options: WalLogOptions;
  #config: LogConfig;
  readonly #clock: Clock;
  readonly #disk: Disk;
  readonly #snapshots: SnapshotFiles;
  readonly #proposals: ProposalQueue;
  readonly #listeners = new Set<(leadership: Leadership) => void>();
  #leadership: Leadership = { state: 'none' };
  #starting: Promise<void> | undefined;
  #machine: StateMachine | undefined;
  #lock: DiskLock | undefined;
  #wal: Wal | undefined;
  /** Last index given to a proposal. */
  #lastIndex = 0;
  /** Invariant: applied <= committed <= last. */
  #committedIndex = 0;
  #appliedIndex = 0;
  #applying: Promise<void> | undefined;
  #snapshot: LogPosition = FIRST;
  #snapshotError: SwarmError | undefined;
  #snapshotting: Promise<void> | undefined;
  #snapshotRetryAtMs = 0;
  /** Bytes of entries since the newest snapshot. */
  #bytesSinceSnapshot = 0;
  readonly #abortSnapshot = new AbortController();
  #closing: Promise<void> | undefined;

  constructor(options: WalLogOptions) {
    this.#options = options;
    this.#config = { ...DEFAULT_LOG_CONFIG, ...options.config };
    this.#clock = options.clock ?? systemClock;
    this.#disk = options.disk ?? nodeDisk;
    const { directory, keys } = options;
    const syncBytes = this.#config.snapshotSyncBytes;
    this.#snapshots = new SnapshotFiles({ disk: this.#disk, directory, keys, syncBytes });
    this.#proposals = new ProposalQueue(this.#clock, this.#config);
  }

  start(machine: StateMachine): Promise<void> {
    assert(this.#starting === undefined, 'a log is started once');
    this.#starting = this.#start(machine);
    return this.#starting;
  }

  async #start(machine: StateMachine): Promise<void> {
    this.#machine = machine;
    const started = this.#clock.monotonic();
    try {
      await this.#disk.makeDirectory(this.#options.directory);
      this.#lock = await this.#disk.lock(this.#options.directory);
      const entries = await this.#recover(machine);
      this.#options.observer?.recovered(this.#clock.monotonic() - started, entries);
    } catch (thrown) {
      const error = diskError(thrown, 'starting');
      this.#stop(error);
      await this.#releaseLock();
      throw error;
    }
    if (this.#closing !== undefined) throw stopped('while it was being recovered');
    this.#setLeadership({ state: 'leader', term: TERM });
    this.#maybeSnapshot();
  }

  propose(data: Uint8Array, options: ProposeOptions): Promise<LogPosition> {
    const refusal = this.#refusal() ?? this.#proposals.refusal(data);
    if (refusal !== undefined) return Promise.reject(refusal);
    assert(this.#wal !== undefined, 'a leading log has its files');
    const position = { index: ++this.#lastIndex, term: TERM };
    const applied = this.#proposals.add(position, data, options);
    this.#wal.append([{ type: RECORD_TYPES.entry, ...position, body: data }]).then(
      () => {
        this.#committedIndex = position.index;
        this.#applying ??= this.#applyCommitted();
      },
      // The failure of the log has stopped it, and rejects every proposal.
      () => {},
    );
    return applied;
  }

  readBarrier(options: WaitOptions): Promise<number> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    // What was acknowledged was applied first; what is durable but not yet applied is waited for all the same, so that
    // a reader sees its own proposals even when their answers are still on the way.
    const index = this.#committedIndex;
    if (this.#appliedIndex >= index) return Promise.resolve(this.#appliedIndex);
    const applied = (this.#applying ?? Promise.resolve()).then(() => {
      if (this.#appliedIndex >= index) return this.#appliedIndex;
      throw this.#refusal() ?? stopped('before the read could be served');
    });
    return withDeadline(applied, options.timeoutMs, 'the log to be applied', this.#clock);
  }

  leadership(): Leadership {
    return this.#leadership;
  }

  onLeadership(listener: (leadership: Leadership) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  status(): LogStatus {
    return {
      leadership: this.#leadership,
      committedIndex: this.#committedIndex,
      appliedIndex: this.#appliedIndex,
      waiting: this.#proposals.size,
      snapshotIndex: this.#snapshot.index,
      snapshotError: this.#snapshotError,
      logBytes: this.#wal?.bytes ?? 0,
    };
  }

  /** How often snapshots are taken and how many are kept, from now on: users may set it for their cluster. */
  tuneSnapshots(changes: Partial<Pick<LogConfig, 'snapshotEntries' | 'snapshotsKept'>>): void {
    this.#config = { ...this.#config, ...changes };
    this.#maybeSnapshot();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#setLeadership({ state: 'stopped', error: this.#failure() });
    this.#abortSnapshot.abort();
    const finished = this.#finishWork();
    try {
      await withDeadline(finished, this.#config.closeTimeoutMs, 'the log to finish its writes', this.#clock);
      await this.#releaseLock();
    } catch (thrown) {
      // The lock stays with this process: a write that hangs may still reach the disk.
      this.#options.logger.error('the log did not close in order', { error: SwarmError.from(thrown).message });
    }
    this.#proposals.rejectAll(this.#failure() ?? closedTooSoon());
  }

  async #finishWork(): Promise<void> {
    await this.#starting?.catch(() => {});
    await this.#wal?.close();
    while (this.#applying !== undefined) await this.#applying;
    await this.#snapshotting;
  }

  async #recover(machine: StateMachine): Promise<number> {
    const { directory, keys, logger, observer } = this.#options;
    const recovered = await recoverLog({
      disk: this.#disk,
      directory,
      keys,
      logger,
      snapshots: this.#snapshots,
      wal: {
        config: this.#config,
        clock: this.#clock,
        observer,
        preamble: () => (this.#snapshot.index === 0 ? [] : [mark(this.#snapshot)]),
        onFailure: (error) => this.#stop(error),
      },
    });
    this.#wal = recovered.wal;
    this.#snapshot = recovered.snapshot;
    if (recovered.snapshot.index > 0)
      await machine.restore(recovered.snapshot, this.#snapshots.read(recovered.snapshot, recovered.wal.logId));
    this.#lastIndex = Math.max(recovered.snapshot.index, recovered.entries.at(-1)?.index ?? 0);
    this.#appliedIndex = recovered.snapshot.index;
    this.#committedIndex = this.#lastIndex;
    let sliceStartMs = this.#clock.monotonic();
    for (const { index, term, body } of recovered.entries) {
      machine.apply({ index, term, data: body, ticket: undefined });
      this.#appliedIndex = index;
      this.#bytesSinceSnapshot += body.length;
      if (this.#clock.monotonic() - sliceStartMs < this.#config.applySliceMs) continue;
      await nextTurn();
      sliceStartMs = this.#clock.monotonic();
    }
    await this.#snapshots.prune(recovered.snapshot.index, 1 + this.#config.snapshotsKept);
    return recovered.entries.length;
  }

  /**
   * Applies what is durable, in order, giving way to the event loop between slices. Ends early when the log fails: the
   * proposals have been rejected then, and a restart applies what the disk holds. Never rejects.
   */
  async #applyCommitted(): Promise<void> {
    // Everyone of the same flush is told in the same turn.
    await Promise.resolve();
    let sliceStartMs = this.#clock.monotonic();
    while (this.#appliedIndex < this.#committedIndex && this.#failure() === undefined) {
      if (this.#clock.monotonic() - sliceStartMs >= this.#config.applySliceMs) {
        await nextTurn();
        sliceStartMs = this.#clock.monotonic();
        continue;
      }
      try {
        this.#applyNext();
      } catch (thrown) {
        this.#stop(SwarmError.from(thrown));
      }
    }
    this.#applying = undefined;
  }

  #applyNext(): void {
    const proposal = this.#proposals.next();
    const { position, data, ticket } = proposal;
    assert(position.index === this.#appliedIndex + 1, 'entries are applied without a gap');
    this.#machine?.apply({ ...position, data, ticket });
    this.#appliedIndex = position.index;
    this.#bytesSinceSnapshot += data.length;
    this.#proposals.settle(proposal);
    this.#maybeSnapshot();
  }

  #maybeSnapshot(): void {
    const due =
      this.#appliedIndex - this.#snapshot.index >= this.#config.snapshotEntries ||
      this.#bytesSinceSnapshot >= this.#config.snapshotBytes;
    if (!due || this.#snapshotting !== undefined || this.#leadership.state !== 'leader') return;
    if (this.#appliedIndex === this.#snapshot.index || this.#clock.monotonic() < this.#snapshotRetryAtMs) return;
    this.#snapshotting = this.#takeSnapshot({ index: this.#appliedIndex, term: TERM }).finally(() => {
      this.#snapshotting = undefined;
    });
  }

  /** File first, then its mark in the log, then what it replaces goes. */
  async #takeSnapshot(position: LogPosition): Promise<void> {
    const wal = this.#wal;
    assert(wal !== undefined && this.#machine !== undefined, 'a leading log has its files');
    const started = this.#clock.monotonic();
    const bytesBefore = this.#bytesSinceSnapshot;
    try {
      const chunks = this.#machine.snapshot();
      const bytes = await this.#snapshots.write(position, wal.logId, chunks, this.#abortSnapshot.signal);
      await wal.append([mark(position)]);
      this.#snapshot = position;
      this.#snapshotError = undefined;
      this.#bytesSinceSnapshot -= bytesBefore;
      await wal.release(position.index);
      await this.#snapshots.prune(position.index, 1 + this.#config.snapshotsKept);
      this.#options.observer?.snapshotWritten(this.#clock.monotonic() - started, bytes);
      this.#options.logger.info('wrote a snapshot', { ...position, bytes });
    } catch (thrown) {
      this.#snapshotFailed(thrown);
    }
  }

  #snapshotFailed(thrown: unknown): void {
    if (this.#abortSnapshot.signal.aborted || this.#failure() !== undefined) return;
    const error = diskError(thrown, 'writing a snapshot');
    if (!isDiskFull(thrown)) {
      this.#stop(error);
      return;
    }
    // The log itself is whole and goes on; only what it could forget piles up.
    this.#snapshotError = error;
    this.#snapshotRetryAtMs = this.#clock.monotonic() + this.#config.snapshotRetryMs;
    this.#options.logger.warn('a snapshot found no room on the disk', { error: error.message });
  }

  /** Why nothing can be asked of the log now; undefined when it leads. */
  #refusal(): SwarmError | undefined {
    if (this.#leadership.state === 'leader') return undefined;
    if (this.#leadership.state === 'stopped') return this.#leadership.error ?? stopped('already');
    return new SwarmError({
      code: 'unavailable',
      reason: 'not-leader',
      message: 'the log is still being recovered',
      hint: 'try again in a moment',
    });
  }

  #failure(): SwarmError | undefined {
    return this.#leadership.state === 'stopped' ? this.#leadership.error : undefined;
  }

  /** Ends the log for good. Every waiting proposal gets the error. */
  #stop(error: SwarmError): void {
    if (this.#leadership.state === 'stopped') {
      if (this.#leadership.error === undefined) this.#leadership = { state: 'stopped', error };
      return;
    }
    this.#options.logger.error('the log stopped', { error: error.message });
    this.#abortSnapshot.abort();
    this.#setLeadership({ state: 'stopped', error });
    this.#proposals.rejectAll(error);
  }

  #setLeadership(leadership: Leadership): void {
    if (this.#leadership.state === 'stopped') return;
    this.#leadership = leadership;
    for (const listener of [...this.#listeners]) listener(leadership);
  }

  async #releaseLock(): Promise<void> {
    await this.#lock?.release().catch(() => {});
    this.#lock = undefined;
  }
}

function mark(position: LogPosition) {
  return { type: RECORD_TYPES.snapshotMark, ...position, body: new Uint8Array(0) } as const;
}

function closedTooSoon(): SwarmError {
  return new SwarmError({
    code: 'deadline',
    reason: 'timeout',
    message: 'the log was closed before the change was durable; it may still come into effect',
    hint: 'look whether it did when the manager is back',
  });
}

function stopped(when: string): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'shutting-down',
    message: `the log was closed ${when}`,
    hint: 'try again when the manager is back, or ask another manager',
  });
}
