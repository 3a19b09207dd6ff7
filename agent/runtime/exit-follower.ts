/** Learns how containers end: from what their monitors write down, and from the end of the monitors themselves. */
import { readFile } from 'node:fs/promises';
import { ProcessHandle } from '#agent/kernel/pidfd.ts';
import { SIGNALS } from '#common/signals.ts';
import type { Container } from './container.ts';
import type { ContainerExit, ContainerRecord } from './container-record.ts';
import type { RuntimeContext } from './context.ts';
import { explainOutput, mayHaveFailedToStart } from './exit-diagnosis.ts';
import { type ExitFile, ExitFiles } from './exit-files.ts';

/** When nobody knows how it ended. */
const UNKNOWN_EXIT_CODE = 255;
const KILLED_EXIT_CODE = 128 + SIGNALS.kill;
const LOG_HEAD_BYTES = 4096;

export class ExitFollower {
  readonly #context: RuntimeContext;
  readonly #containers: ReadonlyMap<string, Container>;
  readonly #exitFiles: ExitFiles;
  #closed = false;

  /** `containers` is the runtime's own table, looked at whenever an exit file appears. */
  constructor(context: RuntimeContext, containers: ReadonlyMap<string, Container>) {
    const { config, paths, clock, log } = context;
    this.#context = context;
    this.#containers = containers;
    this.#exitFiles = new ExitFiles({
      paths,
      clock,
      log,
      rescanMs: config.exitRescanMs,
      onFile: (id) => this.#onExitFile(id),
    });
  }

  start(): Promise<void> {
    return this.#exitFiles.start();
  }

  close(): void {
    this.#closed = true;
    this.#exitFiles.close();
  }

  #onExitFile(id: string): void {
    const container = this.#containers.get(id);
    if (container === undefined || container.hasEnded) return;
    this.#inBackground(container, () => this.#settle(container));
  }

  #inBackground(container: Container, work: () => Promise<unknown>): void {
    work().catch((error: unknown) =>
      this.#context.log.error('following a container failed', {
        container: container.id,
        error: (error as Error).message,
      }),
    );
  }

  /** Watches a container that was made or found, and has not ended as far as its record says. */
  async follow(container: Container): Promise<void> {
    const { monitor } = container.processes;
    const handle = ProcessHandle.openExact(monitor.pid, monitor.startTicks);
    container.monitor = handle;
    const ended = handle?.ended ?? Promise.resolve();
    this.#inBackground(container, async () => {
      await ended;
      await this.#afterMonitor(container);
    });
    // It may have ended before anyone listened.
    await this.#settle(container);
  }

  /** Takes note of an end that the monitor has written down; false when it has not. */
  async #settle(container: Container): Promise<boolean> {
    return container.exclusively(async () => {
      if (container.hasEnded) return true;
      if (container.state.phase === 'creating') return false;
      const file = await this.#exitFiles.read(container.id);
      if (file === undefined) return false;
      await this.#recordExit(container, file);
      return true;
    });
  }

  async #recordExit(container: Container, file: ExitFile): Promise<void> {
    const { state, record } = container;
    const startedAtMs = state.phase === 'running' ? state.startedAtMs : undefined;
    const { code, finishedAtMs } = file;
    const oomKilled = code === KILLED_EXIT_CODE && (await this.#ranOutOfMemory(record));
    const ranMs = startedAtMs === undefined ? 0 : finishedAtMs - startedAtMs;
    const error = oomKilled
      ? 'out of memory: the container exceeded its memory limit'
      : mayHaveFailedToStart(code, ranMs)
        ? await this.#explain(container)
        : undefined;
    await container.moveTo({ phase: 'exited', startedAtMs, exit: { code, oomKilled, finishedAtMs, error } });
  }

  /** Code 137 alone says no more than SIGKILL. */
  async #ranOutOfMemory(record: ContainerRecord): Promise<boolean> {
    const noticed = await readFile(`${this.#context.paths.bundle(record.id)}/oom`).then(
      () => true,
      () => false,
    );
    return noticed || ((await this.#context.cgroups.oomKills(record.cgroupPath)) ?? 0) > 0;
  }

  async #explain(container: Container): Promise<string | undefined> {
    if (container.record.log.driver === 'none') return undefined;
    const head = await readFile(this.#context.paths.log(container.id), 'utf8').catch(() => '');
    return explainOutput(head.slice(0, LOG_HEAD_BYTES));
  }

  /**
   * Without its monitor a container runs on, but nobody hears of its end and its output goes nowhere: it is killed,
   * so that it is replaced by one that is looked after.
   */
  async #afterMonitor(container: Container): Promise<void> {
    const { clock, config, log, cgroups } = this.#context;
    if (this.#closed || (await this.#settle(container))) return;
    await new Promise<void>((resolve) => clock.setTimer(config.monitorGraceMs, resolve));
    if (this.#closed || (await this.#settle(container))) return;
    log.error('the monitor of a container has died: the container is killed', { container: container.id });
    await container.exclusively(async () => {
      if (container.hasEnded) return;
      const { init } = container.processes;
      const process = ProcessHandle.openExact(init.pid, init.startTicks);
      process?.close();
      await cgroups.killAll(container.record.cgroupPath);
      if (process === undefined)
        await this.#end(container, UNKNOWN_EXIT_CODE, 'the container ended while nobody watched it');
      else await this.#end(container, KILLED_EXIT_CODE, 'the monitor of the container (conmon) died');
    });
  }

  /** Takes a container whose processes survive SIGKILL for ended. */
  async giveUp(container: Container): Promise<ContainerExit> {
    await container.exclusively(async () => {
      if (container.hasEnded) return;
      this.#context.log.error('the processes of a container do not die', { container: container.id });
      await this.#end(
        container,
        KILLED_EXIT_CODE,
        'its processes do not die: they wait in the kernel, mostly for a disk or a network file system',
      );
    });
    return container.exited;
  }

  async #end(container: Container, code: number, error: string): Promise<void> {
    const { state } = container;
    const startedAtMs = state.phase === 'running' ? state.startedAtMs : undefined;
    const finishedAtMs = this.#context.clock.now();
    await container.moveTo({ phase: 'exited', startedAtMs, exit: { code, oomKilled: false, finishedAtMs, error } });
  }
}
