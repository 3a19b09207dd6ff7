/** Keeps the logs of running containers small: renames what has grown, and has the monitor open a new file. */
import { constants } from 'node:fs';
import { open, rename, stat, unlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import type { Logger } from '#common/log.ts';
import type { LogConfig } from './config.ts';
import { existingNumbers, numberedFile } from './log-files.ts';
import type { LogSettings } from './log-options.ts';

export interface RotatedLog {
  readonly path: string;
  /** conmon's control FIFO. */
  readonly controlPath: string;
  readonly settings: LogSettings;
}

interface WatchedLog extends RotatedLog {
  cancel: CancelTimer;
  bytes: number;
  checkedAtMs: number;
}

/** conmon's command "reopen the log"; the two zeros are the window size of another command. */
const REOPEN = '2 0 0\n';
const POLL_MS = 2;

/**
 * When to look again: at half the time in which the log, growing as it did since the last look, would reach the
 * limit. Pure.
 */
export function nextCheckMs(
  config: LogConfig,
  maxBytes: number,
  bytes: number,
  grownBytes: number,
  elapsedMs: number,
): number {
  if (grownBytes <= 0 || elapsedMs <= 0) return config.checkMaxMs;
  const untilFullMs = ((maxBytes - bytes) / grownBytes) * elapsedMs;
  return Math.min(config.checkMaxMs, Math.max(config.checkMinMs, untilFullMs / 2));
}

/** Moves every file one number up; the one that would be too many is removed. */
async function shiftFiles(path: string, maxFiles: number): Promise<void> {
  for (const number of await existingNumbers(path)) {
    if (number + 1 >= Math.max(2, maxFiles)) await unlink(numberedFile(path, number));
    else await rename(numberedFile(path, number), numberedFile(path, number + 1));
  }
}

/** False when nobody listens: the monitor has ended. */
async function askToReopen(controlPath: string): Promise<boolean> {
  try {
    const fifo = await open(controlPath, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      await fifo.write(REOPEN);
    } finally {
      await fifo.close();
    }
    return true;
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENXIO', 'EPIPE')) return false;
    throw error;
  }
}

async function appears(path: string, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline) {
    const there = await stat(path).then(
      () => true,
      () => false,
    );
    if (there) return true;
    await sleep(POLL_MS);
  }
  return false;
}

/** Rotates one log now. Nothing that was written is lost, but for the oldest file beyond `maxFiles`. */
export async function rotateLog(log: RotatedLog, config: LogConfig): Promise<void> {
  const { path, settings } = log;
  await shiftFiles(path, settings.maxFiles);
  if (!(await askToReopen(log.controlPath))) return;
  const reopened = await appears(path, config.reopenTimeoutMs);
  // A single file: its predecessor may go only when the monitor has let go of it.
  if (settings.maxFiles === 1 && reopened)
    await unlink(numberedFile(path, 1)).catch((error: unknown) => {
      if (!hasErrno(error, 'ENOENT')) throw error;
    });
}

export class LogRotator {
  readonly #config: LogConfig;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #watched = new Map<string, WatchedLog>();

  constructor(options: { readonly config: LogConfig; readonly clock: Clock; readonly log: Logger }) {
    this.#config = options.config;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** Looks after the log from now on. The first look comes soon: its growth is not known yet. */
  add(id: string, log: RotatedLog): void {
    this.remove(id);
    if (log.settings.driver === 'none') return;
    const watched: WatchedLog = { ...log, cancel: () => {}, bytes: 0, checkedAtMs: this.#clock.monotonic() };
    this.#watched.set(id, watched);
    this.#schedule(id, watched, this.#config.checkMinMs);
  }

  remove(id: string): void {
    this.#watched.get(id)?.cancel();
    this.#watched.delete(id);
  }

  close(): void {
    for (const id of [...this.#watched.keys()]) this.remove(id);
  }

  #schedule(id: string, watched: WatchedLog, delayMs: number): void {
    watched.cancel = this.#clock.setTimer(delayMs, () => {
      this.#check(id, watched)
        .catch((error: unknown) => {
          this.#log.warn('rotating a log failed', { container: id, error: (error as Error).message });
          return this.#config.checkMaxMs;
        })
        .then((next) => {
          if (this.#watched.get(id) === watched) this.#schedule(id, watched, next);
        })
        .catch(() => {});
    });
  }

  async #check(id: string, watched: WatchedLog): Promise<number> {
    const size = await stat(watched.path).then(
      (status) => status.size,
      () => 0,
    );
    const now = this.#clock.monotonic();
    const grown = size - watched.bytes;
    const elapsed = now - watched.checkedAtMs;
    watched.checkedAtMs = now;
    watched.bytes = size;
    if (size <= watched.settings.maxBytes)
      return nextCheckMs(this.#config, watched.settings.maxBytes, size, grown, elapsed);
    await rotateLog(watched, this.#config);
    this.#log.debug('rotated a log', { container: id, bytes: size });
    watched.bytes = 0;
    return nextCheckMs(this.#config, watched.settings.maxBytes, 0, grown, elapsed);
  }
}
