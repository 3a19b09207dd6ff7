/** Runs tasks as containers of this node: image, volumes, network and runtime put together. */
import { type LogConfig, LogRotator, readLog } from '#agent/logs/index.ts';
import type { AttachedNetwork, NetworkAttachment as AttachedTask, TaskNetwork } from '#agent/network/index.ts';
import type { ContainerRuntime, ContainerView } from '#agent/runtime/index.ts';
import type { PayloadStore, TaskPayloads } from '#agent/secrets/index.ts';
import type {
  Check,
  CheckOutcome,
  FoundTask,
  HealthPlan,
  PreparedTask,
  TaskAssignment,
  TaskExit,
} from '#agent/tasks/index.ts';
import { checkTaskMounts, namedVolumes, type TaskVolumes, withImageVolumes } from '#agent/volumes/index.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { eachAtATime } from '#common/system/each-at-a-time.ts';
import type { ContainerStatus } from '#gen/swarm/v1/objects.ts';
import type { PortConfig } from '#gen/swarm/v1/specs.ts';
import type { Executor, LogLine, LogQuery, TaskStatistics } from '../executor.ts';
import { throwIfAborted, unlessAborted } from './cancellation.ts';
import {
  exitOf,
  holdsVolumes,
  PORTS_LABEL,
  portsOf,
  prepared,
  SERVICE_LABEL,
  statusOf,
  VOLUMES_LABEL,
  volumesOf,
} from './container-view.ts';
import { placeholderValues } from './expand-templates.ts';
import { genericEnv } from './generic-env.ts';
import { withGpus } from './gpu-devices.ts';
import {
  drainMsOf,
  expectedPorts,
  type MappedTask,
  mapAssignment,
  portConfigs,
  stopSignalOf,
} from './map-assignment.ts';
import { checkTask, healthLabels, planOf } from './task-checks.ts';
import type { HeldImage, TaskImages } from './task-images.ts';

export interface OciExecutorOptions {
  readonly runtime: ContainerRuntime;
  readonly network: TaskNetwork;
  readonly volumes: TaskVolumes;
  readonly payloads: PayloadStore;
  /** Their files. */
  readonly taskPayloads: TaskPayloads;
  readonly images: TaskImages;
  readonly logConfig: LogConfig;
  readonly clock: Clock;
  readonly log: Logger;
}

export class OciExecutor implements Executor {
  readonly #runtime: ContainerRuntime;
  readonly #network: TaskNetwork;
  readonly #volumes: TaskVolumes;
  readonly payloads: PayloadStore;
  readonly #payloads: TaskPayloads;
  readonly #images: TaskImages;
  readonly #rotator: LogRotator;
  readonly #logConfig: LogConfig;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** Ends of started containers, everything that they held given back. Invariant: one entry a container that runs. */
  readonly #ends = new Map<string, Promise<TaskExit>>();
  #closed = false;
  #networkRestored = false;

  constructor(options: OciExecutorOptions) {
    this.#runtime = options.runtime;
    this.#network = options.network;
    this.#volumes = options.volumes;
    this.payloads = options.payloads;
    this.#payloads = options.taskPayloads;
    this.#images = options.images;
    this.#logConfig = options.logConfig;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#rotator = new LogRotator({ config: options.logConfig, clock: options.clock, log: options.log });
  }

  async prepare(
    assignment: TaskAssignment,
    progress: (message: string) => void,
    signal: AbortSignal,
  ): Promise<PreparedTask> {
    const taskId = assignment.task.id;
    const mapped = mapAssignment(assignment, this.#runtime.context.machine.architecture);
    checkTaskMounts(mapped.mounts);
    if (this.#runtime.inspect(taskId) !== undefined) return prepared(await this.#network.attach(mapped.attach, signal));
    try {
      progress('preparing the image');
      const image = await this.#images.hold({
        taskId,
        reference: mapped.image,
        registryAuth: mapped.registryAuth,
        progress,
        signal,
      });
      progress('preparing the network');
      const attached = await this.#network.attach(mapped.attach, signal);
      progress('creating the container');
      await this.#create(assignment, mapped, image, attached, signal);
      return prepared(attached);
    } catch (error) {
      await this.#giveBack(taskId);
      throw error;
    }
  }

  async #create(
    assignment: TaskAssignment,
    mapped: MappedTask,
    image: HeldImage,
    attached: AttachedTask,
    signal: AbortSignal,
  ): Promise<void> {
    const { task } = assignment;
    const taskId = task.id;
    const mounts = withImageVolumes(mapped.mounts, image.config.volumes);
    const { netnsPath, files, mode } = attached;
    const payloads = await this.#payloads.prepare(
      assignment,
      placeholderValues(assignment, this.#runtime.context.machine.architecture),
      mapped.spec.env,
    );
    await this.#runtime.create(
      {
        id: taskId,
        spec: await withGpus(
          { ...mapped.spec, env: [...mapped.spec.env, ...genericEnv(task.assignedGeneric), ...payloads.env] },
          task.assignedGeneric,
        ),
        image: {
          id: image.id,
          layers: image.layers,
          defaults: image.config,
          is32Bit: image.architecture === '386' || image.architecture === 'arm',
        },
        network:
          netnsPath !== undefined
            ? { kind: 'namespace', path: netnsPath }
            : { kind: mode === 'host' ? 'host' : 'none' },
        files: {
          '/etc/hostname': files.hostname,
          '/etc/hosts': files.hosts,
          '/etc/resolv.conf': files.resolvConf,
        },
        stopSignal: stopSignalOf(mapped, image.config),
        stopGraceMs: mapped.stopGraceMs,
        log: mapped.log,
        labels: {
          [SERVICE_LABEL]: assignment.task.serviceId,
          [VOLUMES_LABEL]: JSON.stringify(namedVolumes(mapped.mounts)),
          [PORTS_LABEL]: JSON.stringify(expectedPorts(assignment, image.config.exposedPorts)),
          ...healthLabels(image),
        },
        mounts: async (rootPath) => [...(await this.#volumes.prepare(taskId, mounts, rootPath)), ...payloads.mounts],
      },
      signal,
    );
    await this.#volumes.created(taskId);
  }

  async start(taskId: string, progress: (message: string) => void, signal: AbortSignal): Promise<ContainerStatus> {
    throwIfAborted(signal);
    const view = await this.#runtime.start(taskId);
    await this.#listening(view, progress, signal);
    return statusOf(view);
  }

  /** A task that counts as running is sent connections at once. */
  async #listening(view: ContainerView, progress: (message: string) => void, signal: AbortSignal): Promise<void> {
    const taskId = view.record.id;
    const ports = portsOf(view);
    const ended = this.#follow(taskId);
    const named = ports.published.length > 0 ? ports.published : ports.exposed;
    const cancelSaying = this.#clock.setTimer(SAY_AFTER_MS, () =>
      progress(`listening on ${named.join(', ')} is awaited`),
    );
    const waited = this.#whileItRuns(ended, signal, (gone) => this.#network.listening(taskId, ports, gone));
    const outcome = await waited.finally(cancelSaying);
    if (outcome instanceof SwarmError)
      this.#log.warn('where a task listens cannot be seen: it counts as running', {
        task: taskId,
        error: outcome.message,
      });
    else if (outcome !== undefined && outcome.length > 0)
      this.#log.warn('a task does not listen on what its service publishes', {
        task: taskId,
        ports: outcome.join(' '),
      });
  }

  /** What came of the work, or why it failed; undefined when the container ended meanwhile. Throws for the signal. */
  async #whileItRuns<T>(
    ended: Promise<unknown>,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | SwarmError | undefined> {
    const gone = new AbortController();
    void ended.finally(() => gone.abort()).catch(() => {});
    try {
      return await work(AbortSignal.any([signal, gone.signal]));
    } catch (error) {
      throwIfAborted(signal);
      return gone.signal.aborted ? undefined : SwarmError.from(error);
    }
  }

  async wait(taskId: string, signal: AbortSignal): Promise<TaskExit> {
    this.#require(taskId);
    return unlessAborted(this.#follow(taskId), signal);
  }

  healthPlan(assignment: TaskAssignment): HealthPlan | undefined {
    return planOf(assignment, this.#runtime.inspect(assignment.task.id));
  }

  check(assignment: TaskAssignment, check: Check, timeoutMs: number, signal: AbortSignal): Promise<CheckOutcome> {
    return checkTask(this.#runtime, assignment, check, timeoutMs, signal);
  }

  async shutdown(assignment: TaskAssignment, signal: AbortSignal, unhealthy = false): Promise<void> {
    const taskId = assignment.task.id;
    if (this.#runtime.inspect(taskId) === undefined) return;
    const ended = this.#follow(taskId);
    const stop = async (): Promise<void> => {
      if (!unhealthy) await this.#drain(assignment, ended, signal);
      await this.#runtime.stop(taskId, assignment.spec.task?.container?.stopGracePeriodMs);
      await ended;
    };
    await unlessAborted(stop(), signal);
  }

  /** Every node has taken the task out of its tables: what is left are connections that it had before. */
  async #drain(assignment: TaskAssignment, ended: Promise<unknown>, signal: AbortSignal): Promise<void> {
    const { id } = assignment.task;
    const outcome = await this.#whileItRuns(ended, signal, (gone) =>
      this.#network.drain(id, drainMsOf(assignment), gone),
    );
    if (outcome instanceof SwarmError)
      this.#log.warn('the connections of a task cannot be counted: it is stopped without waiting for them', {
        task: id,
        error: outcome.message,
      });
  }

  async remove(taskId: string, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    this.#rotator.remove(taskId);
    await this.#runtime.remove(taskId);
    await this.#giveBack(taskId);
    this.#ends.delete(taskId);
  }

  async recover(
    known: readonly TaskAssignment[],
    onFound: (taskId: string, found: FoundTask) => void = () => {},
  ): Promise<void> {
    const ids = new Set(known.map(({ task }) => task.id));
    for (const { record } of this.#runtime.list()) if (!ids.has(record.id)) await this.#removeUnknown(record.id);
    const living = this.#runtime.list().filter(({ record }) => record.state.phase !== 'exited');
    await this.#payloads.restore(new Set(living.map(({ record }) => record.id)));
    const adopted = await this.#restoreNetwork(living.map(({ record }) => record.id));
    this.#images.restore(new Map(living.map(({ record }) => [record.id, record.imageId])));
    await this.#volumes.restore({
      living: new Map(
        this.#runtime
          .list()
          .filter((view) => holdsVolumes(view))
          .map((view) => [view.record.id, volumesOf(view)]),
      ),
      all: new Set(this.#runtime.list().map(({ record }) => record.id)),
    });
    const ports = new Map(adopted.map((attached) => [attached.taskId, portConfigs(attached.ports)]));
    const ended: string[] = [];
    for (const id of ids) {
      const found = this.#find(id, ports.get(id) ?? []);
      if (found === undefined) ended.push(id);
      else onFound(id, found);
    }
    // A node may have hundreds of these.
    await eachAtATime(ended, ENDS_AT_A_TIME, async (id) =>
      onFound(id, { kind: 'exited', exit: await this.#follow(id) }),
    );
  }

  /** Of a task that nobody knows of any more. */
  async #removeUnknown(taskId: string): Promise<void> {
    this.#rotator.remove(taskId);
    await this.#runtime.remove(taskId);
    if (this.#networkRestored) await this.#network.detach(taskId);
    this.#ends.delete(taskId);
  }

  /** The network is restored once; a node that leaves a swarm and joins another has it already. */
  async #restoreNetwork(living: readonly string[]): Promise<readonly AttachedNetwork[]> {
    if (this.#networkRestored) return [];
    const restored = await this.#network.restore(living);
    this.#networkRestored = true;
    for (const contested of restored.contested)
      this.#log.warn('a published port has another holder too', { task: contested.taskId, holder: contested.holder });
    return restored.adopted;
  }

  /** Undefined for one that has ended: how, and what it holds still, has to be looked at. */
  #find(taskId: string, ports: readonly PortConfig[]): FoundTask | undefined {
    const view = this.#runtime.inspect(taskId);
    if (view === undefined) return { kind: 'absent' };
    const { state } = view.record;
    if (state.phase === 'creating') return { kind: 'absent' };
    if (state.phase === 'created') return { kind: 'prepared' };
    if (state.phase === 'exited') return undefined;
    void this.#follow(taskId);
    return { kind: 'running', container: statusOf(view), ports };
  }

  async *logs(taskId: string, query: LogQuery, signal: AbortSignal): AsyncIterable<LogLine> {
    const { record } = this.#require(taskId);
    if (record.log.driver === 'none')
      throw new SwarmError({
        code: 'precondition',
        reason: 'not-supported',
        message: `the log driver of task ${taskId} is none: nothing of its output is kept`,
        hint: 'update the service with --log-driver json-file',
      });
    const source = {
      path: this.#runtime.context.paths.log(taskId),
      ended: this.#runtime.wait(taskId),
      config: this.#logConfig,
      clock: this.#clock,
    };
    yield* readLog(source, query, signal);
  }

  async statistics(taskId: string): Promise<TaskStatistics | undefined> {
    const found = await this.#runtime.statistics(taskId);
    if (found === undefined) return undefined;
    return { cpuNanos: found.cpuNanos, memoryBytes: found.memoryBytes, pids: found.pids };
  }

  /**
   * For a host that goes down: stops every container, the youngest first, each with its signal and grace period but
   * none longer than `deadlineMs`.
   */
  async stopAll(deadlineMs: number): Promise<void> {
    await this.#runtime.stopAll(deadlineMs, STOP_CONCURRENCY);
    await Promise.allSettled(this.#ends.values());
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#rotator.close();
    this.#runtime.close();
    await this.#network.close();
  }

  /** Looks after a container that was started or found, until its end. */
  #follow(taskId: string): Promise<TaskExit> {
    const known = this.#ends.get(taskId);
    if (known !== undefined) return known;
    const { record } = this.#require(taskId);
    if (record.state.phase !== 'exited') {
      const { paths } = this.#runtime.context;
      this.#rotator.add(taskId, {
        path: paths.log(taskId),
        controlPath: `${paths.bundle(taskId)}/ctl`,
        settings: record.log,
      });
    }
    const end = this.#runtime.wait(taskId).then(async (exit) => {
      await this.#afterEnd(taskId);
      return exitOf(taskId, exit);
    });
    this.#ends.set(taskId, end);
    return end;
  }

  /** What nobody else can use while the container holds it. Its anonymous volumes stay its own until it is removed. */
  async #afterEnd(taskId: string): Promise<void> {
    if (this.#closed) return;
    this.#rotator.remove(taskId);
    for (const [what, work] of [
      ['container', () => this.#runtime.release(taskId)],
      ['network', () => this.#network.detach(taskId)],
      ['secrets', () => this.#payloads.release(taskId)],
    ] as const)
      await work().catch((error: unknown) =>
        this.#log.error(`cannot release the ${what} of a task that ended`, {
          task: taskId,
          error: SwarmError.from(error).message,
        }),
      );
    // A container that is stuck still has the image's layers mounted.
    if (this.#runtime.inspect(taskId)?.stuck === true) return;
    this.#images.release(taskId);
    await this.#volumes.ended(taskId).catch((error: unknown) =>
      this.#log.error('cannot let go of the volumes of a task that ended', {
        task: taskId,
        error: SwarmError.from(error).message,
      }),
    );
  }

  /** Takes back all that the task holds beside its container, which is gone. */
  async #giveBack(taskId: string): Promise<void> {
    const stuck = this.#runtime.inspect(taskId)?.stuck === true;
    const results = await Promise.allSettled([
      this.#network.detach(taskId),
      this.#payloads.release(taskId),
      stuck ? undefined : this.#volumes.release(taskId),
    ]);
    if (!stuck) this.#images.release(taskId);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  #require(taskId: string): ContainerView {
    const view = this.#runtime.inspect(taskId);
    if (view !== undefined) return view;
    throw new SwarmError({
      code: 'not-found',
      reason: 'unknown-object',
      message: `this node has no container of task ${taskId}`,
    });
  }
}

/** What starts sooner than this needs no word about it. */
const SAY_AFTER_MS = 1000;
/** Containers that had ended when the daemon started, looked at together: each may take some system calls. */
const ENDS_AT_A_TIME = 20;
/** Containers stopped at once at a shutdown: most of them only wait for their programs. */
const STOP_CONCURRENCY = 50;
