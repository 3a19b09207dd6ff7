import type { ConfState, Message } from 'raft-ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import {
  diskError,
  isDiskFull,
  type LogObserver,
  type LogPosition,
  type SnapshotFiles,
  type StateMachine,
  type Wal,
} from '#manager/log/index.ts';
import type { RaftConfig } from './config.ts';
import type { MembersBook } from './members-book.ts';
import type { RaftStorage } from './raft-storage.ts';
import { decodeSnapshotHeader, markRecord, type SnapshotHeader } from './wal-records.ts';

export interface SnapshotsOptions {
  readonly files: SnapshotFiles;
  readonly wal: Wal;
  readonly storage: RaftStorage;
  readonly book: MembersBook;
  readonly machine: StateMachine;
  readonly clock: Clock;
  readonly config: () => RaftConfig;
  readonly observer: LogObserver | undefined;
  readonly logger: Logger;
  /** The newest one on the disk, with its mark; index 0 before the first. */
  readonly newest: LogPosition;
  /** First entries, lowest first, that members will need to whom a snapshot is being sent. */
  readonly neededFrom: () => readonly number[];
  /** Its file is read, or about to be. */
  readonly isBeingSent: (position: LogPosition) => boolean;
  readonly failed: (thrown: unknown) => void;
}

/**
 * This member's snapshots: takes them, receives them from the leader, loads them.
 *
 * Order of a snapshot that is taken: file, its mark in the log, then what it replaces goes. Of one that is received:
 * file, the node's word that it wants it, the record that puts it in place of the log, then the state machine.
 */
export class Snapshots {
  readonly #options: SnapshotsOptions;
  readonly #abort = new AbortController();
  #newest: LogPosition;
  #error: SwarmError | undefined;
  #taking: Promise<void> | undefined;
  #retryAtMs = 0;
  /** Bytes of entries applied since the newest snapshot. */
  #bytesSince = 0;
  /** A follower needs one that is newer than the newest. */
  #isWanted = false;
  /** One that comes from the leader, until the node has refused it or it has replaced the log. */
  #incoming: LogPosition | undefined;
  #isTaken = false;
  /** Resolves when the received snapshot has replaced the log, or never will. */
  #installed = Promise.withResolvers<void>();

  constructor(options: SnapshotsOptions) {
    this.#options = options;
    this.#newest = options.newest;
  }

  get newest(): LogPosition {
    return this.#newest;
  }

  get error(): SwarmError | undefined {
    return this.#error;
  }

  /** An entry of that many bytes is applied. */
  applied(bytes: number): void {
    this.#bytesSince += bytes;
  }

  /** Takes one when enough was applied since the last, or somebody waits for it. */
  maybeTake(applied: LogPosition): void {
    const { config, clock } = this.#options;
    const { snapshotEntries, snapshotBytes } = config();
    const isDue =
      applied.index - this.#newest.index >= snapshotEntries || this.#bytesSince >= snapshotBytes || this.#isWanted;
    if (!isDue || this.#taking !== undefined || this.#abort.signal.aborted) return;
    if (applied.index <= this.#newest.index || clock.monotonic() < this.#retryAtMs) return;
    // Two would write the same file. The next entry, or the end of the one that comes in, makes way.
    if (applied.index === this.#incoming?.index) return;
    this.#isWanted = false;
    this.#taking = this.#take({ index: applied.index, term: applied.term }).finally(() => {
      this.#taking = undefined;
    });
  }

  /** A follower needs a snapshot with the present members. */
  want(): void {
    this.#isWanted = true;
  }

  /** The chunks of one, header first. */
  read(position: LogPosition): AsyncGenerator<Uint8Array, void> {
    return this.#options.files.read(position, this.#options.wal.logId);
  }

  /**
   * Resolves when no snapshot is about to replace the log: one that comes after it is not too many, and may not be
   * needed any more.
   */
  async quiet(): Promise<void> {
    while (this.#isTaken && !this.#abort.signal.aborted) await this.#installed.promise;
  }

  /**
   * Writes a snapshot that the leader sends and offers it to the node. Resolves when it is durable, or known not to be
   * needed.
   */
  async receive(message: Message, chunks: AsyncIterable<Uint8Array>, offer: () => void): Promise<void> {
    const { files, wal, logger } = this.#options;
    const { snapshot } = message;
    if (snapshot === undefined) throw badSnapshot('its position is missing');
    if (this.#incoming !== undefined) throw tooMany();
    const position = { index: snapshot.index, term: snapshot.term };
    this.#incoming = position;
    this.#isTaken = false;
    try {
      const bytes = await files.write(position, wal.logId, checked(chunks, snapshot.confState), this.#abort.signal);
      logger.info('received a snapshot', { ...position, bytes, from: message.from });
      offer();
      if (!this.#isTaken) await files.remove(position);
    } catch (thrown) {
      if (isDiskFull(thrown)) this.#error = diskError(thrown, 'receiving a snapshot');
      throw thrown;
    } finally {
      if (!this.#isTaken) this.#incoming = undefined;
    }
  }

  /** The node puts the received snapshot in place of its log. */
  take(): void {
    this.#isTaken = true;
    this.#installed = Promise.withResolvers<void>();
  }

  /** Lets go of entries in memory that the newest snapshot covers and nobody is going to need. */
  forgetEntries(): void {
    const { storage, config, neededFrom } = this.#options;
    storage.forget(this.#newest.index, config(), neededFrom());
  }

  /** The received snapshot is the newest from now on. */
  async replaced(position: LogPosition): Promise<void> {
    this.#newest = position;
    this.#incoming = undefined;
    this.#isTaken = false;
    this.#installed.resolve();
    this.#bytesSince = 0;
    await this.#forget();
  }

  /**
   * Moves what is sealed with a data key of before under the current one: the newest snapshot stands for the segments,
   * snapshots are sealed again. Resolves with whether nothing needs another key any more; what is being written or sent
   * may, and then it is tried again later.
   */
  async reseal(applied: LogPosition, isCurrent: (keyName: string) => boolean): Promise<boolean> {
    const { files, wal } = this.#options;
    await this.#taking;
    if (applied.index > this.#newest.index) {
      this.#isWanted = true;
      this.maybeTake(applied);
      await this.#taking;
    } else {
      // Begins a segment under the current key, which the older ones must not be without.
      await wal.append([markRecord(this.#newest)]);
      await wal.release(this.#newest.index);
    }
    await files.reseal(this.#newest.index, wal.logId, this.#abort.signal);
    return [...wal.keyNames(), ...(await files.keyNames())].every(isCurrent);
  }

  /** Lets go of what is under way. */
  stop(): void {
    this.#abort.abort();
    this.#installed.resolve();
  }

  async stopped(): Promise<void> {
    await this.#taking;
  }

  async #take(position: LogPosition): Promise<void> {
    const { files, wal, storage, book, machine, clock, observer, logger } = this.#options;
    const started = clock.monotonic();
    const bytesBefore = this.#bytesSince;
    try {
      const { confState } = book;
      const content = withHeader(book.header(), machine.snapshot());
      const bytes = await files.write(position, wal.logId, content, this.#abort.signal);
      await wal.append([markRecord(position)]);
      // A received one may have overtaken it.
      if (position.index > this.#newest.index) {
        this.#newest = position;
        this.#bytesSince -= bytesBefore;
        storage.createSnapshot(position.index, confState, new Uint8Array(0));
      }
      this.#error = undefined;
      await this.#forget();
      observer?.snapshotWritten(clock.monotonic() - started, bytes);
      logger.info('wrote a snapshot', { ...position, bytes });
    } catch (thrown) {
      this.#failed(thrown);
    }
  }

  /** Lets go of everything that the newest snapshot replaces. */
  async #forget(): Promise<void> {
    const { files, wal, config, isBeingSent } = this.#options;
    const { index } = this.#newest;
    this.forgetEntries();
    await wal.release(index);
    // One that comes in is above the newest, as are leftovers: these wait.
    if (this.#incoming === undefined) await files.prune(index, 1 + config().snapshotsKept, isBeingSent);
  }

  #failed(thrown: unknown): void {
    if (this.#abort.signal.aborted) return;
    if (!isDiskFull(thrown)) {
      this.#options.failed(diskError(thrown, 'writing a snapshot'));
      return;
    }
    // The log itself is whole and goes on; only what it could forget piles up.
    const { clock, config, logger } = this.#options;
    this.#error = diskError(thrown, 'writing a snapshot');
    this.#retryAtMs = clock.monotonic() + config().snapshotRetryMs;
    logger.warn('a snapshot found no room on the disk', { error: this.#error.message });
  }
}

/**
 * Reads a snapshot: its header, and through `restore` the state machine's chunks, unless it was taken before there was
 * any state.
 */
export async function readSnapshot(
  all: AsyncGenerator<Uint8Array, void>,
  restore: (chunks: AsyncIterable<Uint8Array>) => Promise<void>,
): Promise<SnapshotHeader> {
  try {
    const first = await all.next();
    if (first.done === true) throw badSnapshot('it is empty');
    const header = decodeSnapshotHeader(first.value);
    const second = await all.next();
    if (second.done !== true) await restore(following(second.value, all));
    return header;
  } finally {
    await all.return();
  }
}

async function* following(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  yield first;
  yield* rest;
}

function* withHeader(header: Uint8Array, chunks: Iterable<Uint8Array>): Iterable<Uint8Array> {
  yield header;
  yield* chunks;
}

/** Passes the chunks on, after a look at the first. */
async function* checked(chunks: AsyncIterable<Uint8Array>, { voters }: ConfState): AsyncGenerator<Uint8Array, void> {
  let isFirst = true;
  for await (const chunk of chunks) {
    if (isFirst && decodeSnapshotHeader(chunk).confState.voters.length !== voters.length)
      throw badSnapshot('its header names other members than its position');
    isFirst = false;
    yield chunk;
  }
  if (isFirst) throw badSnapshot('it is empty');
}

function badSnapshot(what: string): SwarmError {
  return new SwarmError({
    code: 'invalid',
    reason: 'bad-message',
    message: `a snapshot cannot be used: ${what}`,
  });
}

function tooMany(): SwarmError {
  return new SwarmError({
    code: 'exhausted',
    reason: 'too-many',
    message: 'this manager is receiving a snapshot already',
    hint: 'send it again later',
  });
}
