/**
 * Containers of one node: made by an OCI runtime, watched by conmon, adopted again after a restart of the agent. The
 * runtime decides nothing about when to run what: that is the task machine's.
 */
import { rm } from 'node:fs/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import type { NetworkNamespace } from '#agent/kernel/netns.ts';
import { ProcessHandle } from '#agent/kernel/pidfd.ts';
import { SwarmError } from '#common/errors.ts';
import { SIGNALS } from '#common/signals.ts';
import { withDeadline } from '#common/system/deadline.ts';
import type { CgroupStatistics } from './cgroups/statistics.ts';
import { killHelpers } from './conmon/kill-helpers.ts';
import { Container } from './container.ts';
import type { ContainerExit, ContainerRecord } from './container-record.ts';
import { cgroupPathOf, type RuntimeContext, runtimeAt, runtimeNamed } from './context.ts';
import { type CreateRequest, createContainer } from './create-container.ts';
import type { ExecRequest, ExecResult } from './exec.ts';
import { Execs } from './execs.ts';
import { ExitFollower } from './exit-follower.ts';
import { Limiter } from './limiter.ts';
import { openNetworkNamespace } from './network-namespace.ts';
import { startContainer } from './oci-runtime.ts';
import { checkContainerId } from './paths.ts';
import { diskUsage } from './rootfs/disk-usage.ts';
import { rootFileSystemPaths } from './rootfs/root-file-system.ts';
import { isTornDown, tearDown } from './tear-down.ts';

/** What callers see of a container. */
export interface ContainerView {
  readonly record: ContainerRecord;
  readonly paused: boolean;
  /** Its processes survive SIGKILL (uninterruptible sleep): removing it is tried again now and then. */
  readonly stuck: boolean;
}

export class ContainerRuntime {
  readonly #context: RuntimeContext;
  readonly #containers = new Map<string, Container>();
  readonly #creates: Limiter;
  readonly #starts: Limiter;
  readonly #removes: Limiter;
  readonly #execs: Execs;
  readonly #exits: ExitFollower;
  #closed = false;

  constructor(context: RuntimeContext) {
    const { config } = context;
    this.#context = context;
    this.#creates = new Limiter(config.createConcurrency, config.queueLength);
    this.#starts = new Limiter(config.startConcurrency, config.queueLength);
    this.#removes = new Limiter(config.removeConcurrency, config.queueLength);
    this.#execs = new Execs(context);
    this.#exits = new ExitFollower(context, this.#containers);
  }

  get context(): RuntimeContext {
    return this.#context;
  }

  /** Begins to watch for exits. `adopted` are containers that were found, in any phase but `creating`. */
  async begin(adopted: readonly Container[]): Promise<void> {
    for (const container of adopted) this.#containers.set(container.id, container);
    await this.#exits.start();
    for (const container of adopted) if (!container.hasEnded) await this.#exits.follow(container);
  }

  inspect(id: string): ContainerView | undefined {
    const container = this.#containers.get(id);
    return container === undefined ? undefined : viewOf(container);
  }

  list(): readonly ContainerView[] {
    return [...this.#containers.values()].map(viewOf);
  }

  /**
   * Makes a container that waits to be started. When it fails, or is aborted, nothing of it is left. Throws `exists`
   * when there is one with the id.
   */
  async create(request: CreateRequest, signal?: AbortSignal): Promise<ContainerView> {
    checkContainerId(request.id);
    if (this.#containers.has(request.id))
      throw new SwarmError({
        code: 'exists',
        reason: 'duplicate-name',
        message: `there is a container ${request.id} already`,
      });
    const container = new Container(this.#newRecord(request), this.#context.paths);
    this.#containers.set(request.id, container);
    const making = this.#make(container, request, signal);
    container.made = making.catch(() => {});
    await making;
    return viewOf(container);
  }

  async #make(container: Container, request: CreateRequest, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#creates.run(() => createContainer(this.#context, container, request, signal), signal);
      await this.#exits.follow(container);
    } catch (error) {
      const failure = asSwarmError(error);
      await this.#discard(container, failure);
      throw failure;
    }
  }

  #newRecord(request: CreateRequest): ContainerRecord {
    return {
      version: 1,
      id: request.id,
      bootId: this.#context.bootId,
      createdAtMs: this.#context.clock.now(),
      runtime: runtimeNamed(this.#context, request.spec.runtime).path,
      cgroupPath: cgroupPathOf(this.#context, request.id),
      imageId: request.image.id,
      stopSignal: request.stopSignal,
      stopGraceMs: request.stopGraceMs,
      log: request.log,
      labels: request.labels,
      state: { phase: 'creating' },
    };
  }

  /** After a failed create, whatever it has come to: the runtime's leftovers, and a monitor without a container. */
  async #discard(container: Container, failure: SwarmError): Promise<void> {
    const { paths, log } = this.#context;
    container.removing = true;
    // A refusal of the runtime is the monitor's last word; only without one may it still be there.
    const mayHaveMonitor = failure.reason === 'timeout' || failure.reason === 'runtime-failed';
    try {
      if (mayHaveMonitor) await killHelpers(paths.runtimeRoot, (id) => id !== container.id);
      await this.#tearDown(container, true);
      await rm(paths.container(container.id), { recursive: true, force: true });
    } catch (error) {
      log.error('cannot clean up after a failed create', {
        container: container.id,
        error: (error as Error).message,
      });
    } finally {
      container.monitor?.close();
      if (!container.stuck) this.#containers.delete(container.id);
    }
  }

  /** Starts a created container; one that runs or has ended already is left alone. */
  async start(id: string): Promise<ContainerView> {
    const container = this.#find(id);
    await container.exclusively(async () => {
      if (container.state.phase !== 'created') return;
      const { paths, config, clock, log } = this.#context;
      const runtime = runtimeAt(this.#context, container.record.runtime);
      const { init, monitor } = container.processes;
      await this.#starts.run(() => startContainer(runtime, paths.runtimeRoot, id, config.createTimeoutMs));
      // It runs, whether or not that can be written down: another agent would see it from the runtime's state.
      await container
        .moveTo({ phase: 'running', init, monitor, startedAtMs: clock.now() })
        .catch((error: unknown) =>
          log.error('cannot write the record of a container', { container: id, error: (error as Error).message }),
        );
    });
    return viewOf(container);
  }

  /** Resolves when the container has ended. */
  async wait(id: string): Promise<ContainerExit> {
    return this.#find(id).exited;
  }

  /** Sends a signal to the first process; a container that has ended is left alone. */
  async signal(id: string, signal: number): Promise<void> {
    const container = this.#find(id);
    if (container.hasEnded) return;
    const { init } = container.processes;
    const handle = ProcessHandle.openExact(init.pid, init.startTicks);
    try {
      handle?.signal(signal);
    } finally {
      handle?.close();
    }
  }

  /** Sends the container's stop signal, waits for its grace period or `graceMs`, then kills all that is left. */
  async stop(id: string, graceMs?: number): Promise<ContainerExit> {
    const container = this.#find(id);
    await container.made;
    if (container.hasEnded) return container.exited;
    // A frozen process keeps its signals for later.
    await this.#thaw(container);
    if (container.state.phase === 'running') {
      await this.signal(id, container.record.stopSignal);
      const ended = await this.#within(container, graceMs ?? container.record.stopGraceMs);
      if (ended !== undefined) return ended;
    }
    return this.kill(id);
  }

  /**
   * SIGKILL to every process of the container. One whose processes do not die is given up: it counts as ended, with
   * an error that says so, and what it holds is taken back when they are gone.
   */
  async kill(id: string): Promise<ContainerExit> {
    const container = this.#find(id);
    await container.made;
    if (!this.#containers.has(id)) throw noContainer(id);
    if (!container.hasEnded) await this.#context.cgroups.killAll(container.record.cgroupPath);
    const ended = await this.#within(container, this.#context.config.killTimeoutMs);
    return ended ?? this.#exits.giveUp(container);
  }

  /**
   * For a host that goes down: stops all, the youngest first, each with its signal and grace period but no longer
   * than until `deadlineMs` from now, `concurrency` at a time.
   */
  async stopAll(deadlineMs: number, concurrency: number): Promise<void> {
    const { clock, log } = this.#context;
    const end = clock.monotonic() + deadlineMs;
    const limiter = new Limiter(concurrency, Number.POSITIVE_INFINITY);
    const alive = [...this.#containers.values()]
      .filter((container) => !container.hasEnded)
      .toSorted((left, right) => right.record.createdAtMs - left.record.createdAtMs);
    const stopOne = async (container: Container): Promise<void> => {
      await container.made;
      if (!this.#containers.has(container.id)) return;
      const left = Math.max(0, end - clock.monotonic());
      await this.stop(container.id, Math.min(left, container.record.stopGraceMs));
    };
    await Promise.all(
      alive.map((container) =>
        limiter
          .run(() => stopOne(container))
          .catch((error: unknown) => {
            log.error('cannot stop a container', { container: container.id, error: SwarmError.from(error).message });
          }),
      ),
    );
  }

  async #within(container: Container, timeoutMs: number): Promise<ContainerExit | undefined> {
    return withDeadline(container.exited, timeoutMs, 'a container to end', this.#context.clock).catch(
      (error: unknown) => {
        if (error instanceof SwarmError && error.reason === 'timeout') return undefined;
        throw error;
      },
    );
  }

  async pause(id: string): Promise<void> {
    const container = this.#find(id);
    await this.#context.cgroups.freeze(container.record.cgroupPath, this.#context.config.freezeTimeoutMs);
    container.paused = true;
  }

  async resume(id: string): Promise<void> {
    await this.#thaw(this.#find(id));
  }

  async #thaw(container: Container): Promise<void> {
    const { cgroupPath } = container.record;
    if (await this.#context.cgroups.isFrozen(cgroupPath)) await this.#context.cgroups.thaw(cgroupPath);
    container.paused = false;
  }

  /** What it uses; undefined for one that has ended. */
  async statistics(id: string): Promise<CgroupStatistics | undefined> {
    const container = this.#containers.get(id);
    if (container === undefined || container.hasEnded) return undefined;
    return this.#context.cgroups.statistics(container.record.cgroupPath);
  }

  /**
   * Runs a command in a running container. Throws `not-found` and `precondition` when it does not run; what the command
   * itself gets wrong is in its result. The time that it waits for its turn does not count.
   */
  async exec(id: string, request: ExecRequest, signal?: AbortSignal): Promise<ExecResult> {
    return this.#execs.run(this.#find(id), request, signal);
  }

  /** The network namespace that a running container is in, to be closed; undefined when it does not run. */
  networkNamespace(id: string): NetworkNamespace | undefined {
    const container = this.#containers.get(id);
    return container === undefined ? undefined : openNetworkNamespace(container);
  }

  /** Bytes on disk of its writable layer. */
  async layerBytes(id: string): Promise<number> {
    const { paths } = this.#context;
    return diskUsage(rootFileSystemPaths(paths.container(id), paths.bundle(id)).upper);
  }

  /**
   * Gives back what an ended container holds: cgroup, mounts, writable layer. Its record and log stay. Resolves also
   * when it is stuck, and then tries again later by itself.
   */
  async release(id: string): Promise<void> {
    const container = this.#containers.get(id);
    if (container === undefined || (await isTornDown(this.#context, id))) return;
    await this.#removes.run(() => this.#tearDown(container, false));
  }

  /** Kills it if need be and removes all of it, log and record too. Not existing is no error. */
  async remove(id: string): Promise<void> {
    const container = this.#containers.get(id);
    if (container === undefined) return;
    container.removing = true;
    await container.made;
    if (!this.#containers.has(id)) return;
    if (!container.hasEnded) await this.kill(id);
    await this.#removes.run(() => this.#tearDown(container, false));
    await this.#dropIfGone(container);
  }

  async #dropIfGone(container: Container): Promise<void> {
    if (container.stuck || !container.removing) return;
    await rm(this.#context.paths.container(container.id), { recursive: true, force: true });
    this.#containers.delete(container.id);
  }

  /** Lets go of all containers without touching them. */
  close(): void {
    this.#closed = true;
    this.#exits.close();
    for (const container of this.#containers.values()) {
      container.cancelRetry();
      container.monitor?.close();
    }
  }

  #find(id: string): Container {
    const container = this.#containers.get(id);
    if (container !== undefined) return container;
    throw noContainer(id);
  }

  async #tearDown(container: Container, alive: boolean): Promise<void> {
    await container.exclusively(async () => {
      const { id, record } = container;
      const gone = await tearDown(this.#context, { id, cgroupPath: record.cgroupPath, runtime: record.runtime, alive });
      container.stuck = !gone;
      if (!gone) {
        this.#retryLater(container);
        return;
      }
      await this.#endMonitor(container);
    });
  }

  /** A monitor ends by itself once it has written the exit; one that does not is of no use any more. */
  async #endMonitor(container: Container): Promise<void> {
    const { monitor } = container;
    if (monitor === undefined) return;
    container.monitor = undefined;
    try {
      await withDeadline(monitor.ended, this.#context.config.monitorGraceMs, 'a monitor to end');
    } catch {
      monitor.signal(SIGNALS.kill);
    } finally {
      monitor.close();
    }
  }

  #retryLater(container: Container): void {
    if (this.#closed) return;
    const { clock, config, log } = this.#context;
    log.warn('a container is stuck: its processes do not die', { container: container.id });
    container.cancelRetry();
    container.cancelRetry = clock.setTimer(config.stuckRetryMs, () => {
      const again = async (): Promise<void> => {
        await this.#removes.run(() => this.#tearDown(container, true));
        await this.#dropIfGone(container);
      };
      again().catch((error: unknown) =>
        log.warn('removing a stuck container failed', { container: container.id, error: (error as Error).message }),
      );
    });
  }
}

function noContainer(id: string): SwarmError {
  return new SwarmError({
    code: 'not-found',
    reason: 'unknown-object',
    message: `there is no container ${id} on this node`,
  });
}

function asSwarmError(error: unknown): SwarmError {
  if (!hasErrno(error, 'ENOSPC', 'EDQUOT')) return SwarmError.from(error);
  return new SwarmError({
    code: 'exhausted',
    reason: 'disk-full',
    message: 'no space left on the disk of the node',
    hint: 'free space below the state directory, or remove unused images (swarm image prune)',
    cause: error,
  });
}

function viewOf(container: Container): ContainerView {
  return { record: container.record, paused: container.paused, stuck: container.stuck };
}
