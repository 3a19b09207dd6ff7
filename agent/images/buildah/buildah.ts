/**
 * Runs buildah on a store of our own: own root, own configuration, an environment with nothing of the daemon in it, and
 * never a credential on the command line. It is the only writer of the store.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startProcess } from '#agent/kernel/spawn.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { fileError } from '#common/system/atomic-file.ts';
import { systemClock } from '#common/system/clock.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { cancelledError } from '../archive/archive-error.ts';
import type { ImageTuning } from '../config.ts';
import type { DiskReserve } from '../disk/disk-reserve.ts';
import type { RegistryAccess } from '../registry/registry-access.ts';
import { LineSplitter } from './line-splitter.ts';
import {
  makeOperationDirectory,
  type OperationFiles,
  type OperationRegistries,
  removeOperationDirectory,
} from './operation-directory.ts';
import { ProcessSlots } from './process-slots.ts';

const SIGTERM = 15;
const SIGKILL = 9;
const UNSHARE = '/usr/bin/unshare';
const LINE_BYTES_MAX = 16 * 1024;
/** Of each of stdout and stderr, from the end: errors come last. */
const KEPT_BYTES = 64 * 1024;
const PIPE_GRACE_MS = 500;

export interface BuildahOptions {
  readonly file: string;
  readonly stateDirectory: string;
  readonly runDirectory: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly access: RegistryAccess;
  readonly reserve: DiskReserve;
  readonly tuning: ImageTuning;
  readonly logger: Logger;
}

export interface BuildahRun {
  /** For logs and errors: "pulling nginx:latest". */
  readonly what: string;
  /** The command and its arguments, given the files made for this run. */
  readonly args: (files: OperationFiles) => readonly string[];
  readonly registries?: Omit<OperationRegistries, 'access'>;
  /** For this run alone; what is ours wins. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** True: the run writes layers, and is stopped when the disk runs full. */
  readonly writes: boolean;
  readonly onLine?: (line: string) => void;
  /**
   * For runs that execute what users wrote: they get process, mount and IPC namespaces of their own, so that they see
   * and signal no process of the host, and nothing they started outlives them. `no-network` takes the network away, too.
   */
  readonly contained?: 'host-network' | 'no-network';
}

export interface BuildahResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The last bytes of what a process says. */
class Tail {
  #text = '';

  add(line: string): void {
    this.#text += `${line}\n`;
    if (this.#text.length > 2 * KEPT_BYTES) this.#text = this.#text.slice(-KEPT_BYTES);
  }

  get text(): string {
    return this.#text.slice(-KEPT_BYTES);
  }
}

export class Buildah {
  readonly #options: BuildahOptions;
  readonly #slots: ProcessSlots;
  readonly #stopped = new AbortController();
  #running = 0;
  #idle: (() => void)[] = [];

  constructor(options: BuildahOptions) {
    this.#options = options;
    this.#slots = new ProcessSlots(options.tuning.processesMax, options.tuning.processQueueMax);
  }

  /** Where the layers are. */
  get root(): string {
    return join(this.#options.stateDirectory, 'storage');
  }

  get runRoot(): string {
    return join(this.#options.runDirectory, 'storage');
  }

  /** Archives, contexts and temporary files of operations, on the disk of the images. */
  get workDirectory(): string {
    return join(this.#options.stateDirectory, 'work');
  }

  get #configurationDirectory(): string {
    return join(this.#options.runDirectory, 'work');
  }

  /** The caches of `RUN --mount=type=cache`, shared by all builds. */
  get buildCache(): string {
    return join(this.#options.stateDirectory, 'build-cache');
  }

  /** Makes the directories, and removes what operations of an earlier run have left. */
  async prepare(): Promise<void> {
    const work = [this.workDirectory, this.#configurationDirectory];
    for (const path of work) await rm(path, { recursive: true, force: true });
    for (const path of [this.root, this.runRoot, ...work, this.buildCache])
      await mkdir(path, { recursive: true, mode: 0o700 });
    await writeFile(this.#storageConf, this.#storageConfText(), { mode: 0o600 });
    await writeFile(this.#containersConf, '', { mode: 0o600 });
  }

  get #storageConf(): string {
    return join(this.#options.runDirectory, 'storage.conf');
  }

  get #containersConf(): string {
    return join(this.#options.runDirectory, 'containers.conf');
  }

  #storageConfText(): string {
    return `[storage]\ndriver = "overlay"\ngraphroot = ${JSON.stringify(this.root)}\nrunroot = ${JSON.stringify(this.runRoot)}\n`;
  }

  /**
   * Runs to the end, whatever the exit code. Throws `cancelled` when the signal aborts or the store closes, `timeout`
   * after the time, `disk-full` when the disk reserve is touched; buildah has ended by then in all cases.
   */
  async run(run: BuildahRun): Promise<BuildahResult> {
    const signal = AbortSignal.any([run.signal, this.#stopped.signal]);
    this.#running++;
    try {
      return await this.#slots.run(signal, () => this.#runInDirectory(run, signal));
    } finally {
      this.#running--;
      if (this.#running === 0) for (const wake of this.#idle.splice(0)) wake();
    }
  }

  async #runInDirectory(run: BuildahRun, signal: AbortSignal): Promise<BuildahResult> {
    const { access, reserve } = this.#options;
    const registries = { access, ...(run.registries ?? { hosts: [], auths: {} }) };
    const files = await this.#makeDirectory(run, registries);
    const stop = new AbortController();
    const watch = run.writes ? reserve.watch((error) => stop.abort(error)) : undefined;
    const onAbort = (): void => stop.abort(cancelledError(run.what));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    const cancelTimer = systemClock.setTimer(run.timeoutMs, () => stop.abort(timeoutError(run)));
    try {
      await watch?.ready;
      return await this.#runProcess(run, files, stop.signal);
    } finally {
      cancelTimer();
      watch?.end();
      signal.removeEventListener('abort', onAbort);
      await removeOperationDirectory(files);
    }
  }

  async #makeDirectory(run: BuildahRun, registries: OperationRegistries): Promise<OperationFiles> {
    const places = {
      configuration: this.#configurationDirectory,
      temporary: run.writes ? this.workDirectory : undefined,
      buildCache: this.buildCache,
    };
    return makeOperationDirectory(places, registries).catch((error: unknown) => {
      throw fileError(error, `prepare ${run.what}`);
    });
  }

  #environment(run: BuildahRun, files: OperationFiles): Readonly<Record<string, string>> {
    return {
      ...this.#options.environment,
      ...run.environment,
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: files.home,
      TMPDIR: files.temporary,
      CONTAINERS_CONF: this.#containersConf,
      CONTAINERS_STORAGE_CONF: this.#storageConf,
      CONTAINERS_REGISTRIES_CONF: files.registriesConf,
      REGISTRY_AUTH_FILE: files.authFile,
    };
  }

  /** The program and its arguments. */
  #command(run: BuildahRun, files: OperationFiles): { readonly file: string; readonly args: readonly string[] } {
    const { file } = this.#options;
    const store = ['--root', this.root, '--runroot', this.runRoot, '--storage-driver', 'overlay'];
    const args = [...store, '--registries-conf', files.registriesConf, ...run.args(files)];
    if (run.contained === undefined) return { file, args };
    const namespaces = ['--pid', '--fork', '--kill-child=KILL', '--mount-proc', '--ipc', '--uts'];
    const network = run.contained === 'no-network' ? ['--net'] : [];
    return { file: UNSHARE, args: [...namespaces, ...network, '--', file, ...args] };
  }

  async #runProcess(run: BuildahRun, files: OperationFiles, stop: AbortSignal): Promise<BuildahResult> {
    if (stop.aborted) throw stop.reason;
    const started = startProcess({
      ...this.#command(run, files),
      env: this.#environment(run, files),
      directory: files.directory,
      descriptors: ['null', 'read', 'read'],
    });
    const onStop = (): void => {
      // With its first process a process namespace ends, and with unshare that first process.
      started.signal(run.contained === undefined ? SIGTERM : SIGKILL);
    };
    stop.addEventListener('abort', onStop, { once: true });
    const tails = [new Tail(), new Tail()] as const;
    const closed = tails.map((tail, index) => {
      const pipe = started.pipes[index + 1];
      const splitter = new LineSplitter(LINE_BYTES_MAX, (line) => {
        tail.add(line);
        run.onLine?.(line);
      });
      pipe?.on('data', (chunk: Buffer) => splitter.push(chunk));
      return new Promise<void>((resolve) => {
        pipe?.once('close', () => {
          splitter.finish();
          resolve();
        });
      });
    });
    try {
      const end = await this.#endOf(started, stop);
      // A process that a build has left behind may hold the pipes open for ever.
      await withDeadline(Promise.all(closed), PIPE_GRACE_MS, 'the output of buildah').catch(() => {});
      if (stop.aborted) throw stop.reason;
      const exitCode = end.exitCode ?? 128 + (end.signal ?? 0);
      const [stdout, stderr] = tails;
      if (exitCode !== 0)
        this.#options.logger.debug('buildah failed', { what: run.what, exitCode, stderr: stderr.text.slice(-2000) });
      return { exitCode, stdout: stdout.text, stderr: stderr.text };
    } finally {
      stop.removeEventListener('abort', onStop);
      for (const pipe of started.pipes) pipe?.destroy();
    }
  }

  /** Once asked to stop it gets some time for its own tidying, then no more. */
  async #endOf(started: ReturnType<typeof startProcess>, stop: AbortSignal): Promise<ProcessEndLike> {
    const aborted = new Promise<void>((resolve) => {
      if (stop.aborted) resolve();
      else stop.addEventListener('abort', () => resolve(), { once: true });
    });
    const first = await Promise.race([started.ended, aborted]);
    if (first !== undefined) return first;
    const graceMs = this.#options.tuning.terminationGraceMs;
    try {
      return await withDeadline(started.ended, graceMs, 'buildah to end');
    } catch {
      started.signal(SIGKILL);
      return withDeadline(started.ended, graceMs, 'buildah to end after SIGKILL');
    }
  }

  /** Stops what runs and lets nothing begin; resolves when all has ended. */
  async close(): Promise<void> {
    this.#stopped.abort();
    if (this.#running === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }
}

type ProcessEndLike = Awaited<ReturnType<typeof startProcess>['ended']>;

function timeoutError(run: BuildahRun): SwarmError {
  return new SwarmError({
    code: 'deadline',
    reason: 'timeout',
    message: `${run.what} took longer than ${run.timeoutMs / 1000} s and was stopped`,
    hint: 'try again; if it is just slow, raise the limit in the configuration of the daemon',
  });
}
