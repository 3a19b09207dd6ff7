/** The directory in which conmon leaves how containers ended. */
import { type FSWatcher, watch } from 'node:fs';
import { mkdir, readdir, readFile, stat, unlink } from 'node:fs/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import type { Logger } from '#common/log.ts';
import type { RuntimePaths } from './paths.ts';

export interface ExitFile {
  readonly code: number;
  /** When the monitor wrote it. */
  readonly finishedAtMs: number;
}

export class ExitFiles {
  readonly #paths: RuntimePaths;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #rescanMs: number;
  readonly #onFile: (id: string) => void;
  #watcher: FSWatcher | undefined;
  #cancelRescan: CancelTimer = () => {};
  #closed = false;

  /** `onFile` is called with the name of every file that is or appears there, perhaps more than once. */
  constructor(options: {
    readonly paths: RuntimePaths;
    readonly clock: Clock;
    readonly log: Logger;
    readonly rescanMs: number;
    readonly onFile: (id: string) => void;
  }) {
    this.#paths = options.paths;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#rescanMs = options.rescanMs;
    this.#onFile = options.onFile;
  }

  async start(): Promise<void> {
    await mkdir(this.#paths.exits, { recursive: true, mode: 0o700 });
    this.#watcher = watch(this.#paths.exits, { persistent: false }, (_event, name) => {
      // Without a name the kernel's queue ran over: look at everything.
      if (name === null) void this.#rescan();
      else this.#onFile(name);
    });
    this.#watcher.on('error', (error) => this.#log.warn('watching the exit files failed', { error: error.message }));
    await this.#rescan();
  }

  async #rescan(): Promise<void> {
    this.#cancelRescan();
    try {
      for (const name of await readdir(this.#paths.exits)) this.#onFile(name);
    } catch (error) {
      this.#log.warn('cannot read the exit files', { error: (error as Error).message });
    }
    if (!this.#closed) this.#cancelRescan = this.#clock.setTimer(this.#rescanMs, () => void this.#rescan());
  }

  /** How the container ended; undefined while it has not, as far as its monitor says. */
  async read(id: string): Promise<ExitFile | undefined> {
    const path = this.#paths.exitFile(id);
    try {
      const text = await readFile(path, 'utf8');
      const status = await stat(path);
      return { code: Number.parseInt(text, 10) & 0xff, finishedAtMs: Math.round(status.mtimeMs) };
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  async remove(id: string): Promise<void> {
    await unlink(this.#paths.exitFile(id)).catch((error: unknown) => {
      if (!hasErrno(error, 'ENOENT')) throw error;
    });
  }

  close(): void {
    this.#closed = true;
    this.#cancelRescan();
    this.#watcher?.close();
  }
}
