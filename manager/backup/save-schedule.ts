/** When a manager saves by itself. Every transition of the schedule is in this file. */
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { DEFAULT_SAVES_KEPT } from '#common/limits.ts';
import type { Logger } from '#common/log.ts';
import type { Cluster } from '#gen/swarm/v1/objects.ts';
import { type Disk, diskError } from '#manager/log/index.ts';
import { SavedFiles } from './saved-files.ts';

/** What an administrator sees of the schedule. */
export interface SaveStatus {
  /** 0 while it is off. */
  readonly intervalMs: number;
  /** Of the newest file; 0 while there is none. */
  readonly lastSavedMs: number;
  /** Why the last attempt failed; undefined when it did not. */
  readonly problem: SwarmError | undefined;
}

export interface SaveScheduleOptions {
  readonly cluster: () => Cluster | undefined;
  readonly directory: string;
  readonly disk: Disk;
  /** Room on the directory's disk; undefined where nobody knows. */
  readonly freeBytes?: ((directory: string) => Promise<number>) | undefined;
  /** A save keeps at least this much free for the log. */
  readonly reserveBytes: number;
  readonly syncBytes: number;
  readonly retryMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The bytes of a file with the state of now. */
  readonly save: (signal: AbortSignal) => Promise<{
    readonly version: number;
    readonly pieces: AsyncIterable<Uint8Array>;
  }>;
}

/** A timer is set for no longer than this: the wall clock, which names of files go by, may be set meanwhile. */
const LOOK_AGAIN_MS = 60 * 60 * 1000;

/**
 * Saves into a directory of this manager at the interval that the cluster says, and keeps the newest files. The next save
 * is due an interval after the last one; after a restart that is what the names of the files say. A failure is kept for those who look and
 * tried again; it never reaches the log.
 */
export class SaveSchedule {
  readonly #options: SaveScheduleOptions;
  #cancelTimer: CancelTimer | undefined;
  #running: Promise<void> | undefined;
  #abort = new AbortController();
  #problem: SwarmError | undefined;
  /** By the names of the files, as far as they are not of a clock that was ahead. */
  #lastSavedMs = 0;
  /** Of the last save of this process, on the monotonic clock, which nobody sets. */
  #savedHereMs: number | undefined;
  /** Of the last file: what the next one will need. */
  #lastBytes = 0;
  /** No attempt before this, on the monotonic clock. */
  #notBeforeMs = 0;
  #closed = false;

  constructor(options: SaveScheduleOptions) {
    this.#options = options;
  }

  get status(): SaveStatus {
    return { intervalMs: this.#intervalMs(), lastSavedMs: this.#lastSavedMs, problem: this.#problem };
  }

  /** To be called at the start and whenever the cluster has changed. */
  look(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#closed || this.#running !== undefined) return;
    if (this.#intervalMs() === 0) {
      this.#problem = undefined;
      return;
    }
    this.#running = this.#round().finally(() => {
      this.#running = undefined;
      this.#setTimer();
    });
  }

  /** Gives up a save that is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#abort.abort();
    await this.#running;
  }

  #intervalMs(): number {
    return this.#options.cluster()?.spec?.log?.saveIntervalMs ?? 0;
  }

  #dueMs(): number {
    const { clock } = this.#options;
    const sinceMs =
      this.#savedHereMs === undefined ? clock.now() - this.#lastSavedMs : clock.monotonic() - this.#savedHereMs;
    return Math.max(0, this.#intervalMs() - sinceMs, this.#notBeforeMs - clock.monotonic());
  }

  #setTimer(): void {
    if (this.#closed || this.#intervalMs() === 0 || this.#cancelTimer !== undefined) return;
    this.#cancelTimer = this.#options.clock.setTimer(Math.min(LOOK_AGAIN_MS, this.#dueMs()), () => this.look());
  }

  async #round(): Promise<void> {
    const { clock, disk, directory, logger } = this.#options;
    const cluster = this.#options.cluster();
    if (cluster === undefined) return;
    try {
      const files = new SavedFiles(disk, directory, cluster.id);
      const all = await files.open();
      this.#lastSavedMs = all.find(({ savedAtMs }) => savedAtMs <= clock.now())?.savedAtMs ?? 0;
      if (this.#dueMs() > 0) return;
      await this.#save(files, cluster);
      this.#problem = undefined;
    } catch (thrown) {
      if (this.#closed) return;
      this.#notBeforeMs = clock.monotonic() + Math.min(this.#options.retryMs, this.#intervalMs());
      this.#problem = saveProblem(thrown, directory);
      logger.warn('the scheduled snapshot could not be saved', {
        error: this.#problem.message,
        hint: this.#problem.hint,
      });
    }
  }

  async #save(files: SavedFiles, cluster: Cluster): Promise<void> {
    const { clock, logger, syncBytes } = this.#options;
    await this.#requireRoom();
    const startMs = clock.monotonic();
    const { version, pieces } = await this.#options.save(this.#abort.signal);
    const savedAtMs = clock.now();
    const path = files.pathOf(savedAtMs, version);
    const bytes = await files.write(path, pieces, syncBytes);
    this.#lastSavedMs = savedAtMs;
    this.#savedHereMs = startMs;
    this.#lastBytes = bytes;
    logger.info('saved a snapshot of the swarm', { path, bytes, durationMs: clock.monotonic() - startMs });
    await files.prune(Math.max(1, cluster.spec?.log?.savesKept ?? DEFAULT_SAVES_KEPT), path);
  }

  /** The log shares the disk, and a log without room stops the manager: a save must not be what takes the last of it. */
  async #requireRoom(): Promise<void> {
    const { directory, freeBytes, reserveBytes } = this.#options;
    if (freeBytes === undefined) return;
    const free = await freeBytes(directory);
    if (free >= this.#lastBytes + reserveBytes) return;
    const mebibytes = (bytes: number): string => `${Math.floor(bytes / (1024 * 1024))} MiB`;
    throw new SwarmError({
      code: 'exhausted',
      reason: 'disk-full',
      message: `the disk has ${mebibytes(free)} left, of which ${mebibytes(reserveBytes)} are kept for the manager's log`,
    });
  }
}

function saveProblem(thrown: unknown, directory: string): SwarmError {
  const cause = diskError(thrown, 'saving');
  const isDisk = cause.reason === 'disk-full' || cause.reason === 'log-failed';
  return new SwarmError({
    code: cause.code,
    // What it means for the log, `log-failed` says: here nothing but the save has failed.
    reason: cause.reason === 'log-failed' ? 'internal' : cause.reason,
    message: `no snapshot was saved to ${directory}: ${detailOf(thrown)}`,
    hint: isDisk
      ? 'look after that disk, keep fewer (swarm update --snapshot-save-keep), or end it (--snapshot-save-interval 0s)'
      : cause.hint,
    cause: thrown,
  });
}

function detailOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
