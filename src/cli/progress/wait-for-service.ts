/** Waits until a service has converged and has stayed so, and shows how it gets there. */
import type { TaskView } from '#gen/swarm/v1/control.ts';
import { type Node, type Service, UpdatePauseReason, UpdateState, type UpdateStatus } from '#gen/swarm/v1/objects.ts';
import { DEFAULTS } from '../../docker-shape/from-specs.ts';
import type { SwarmApi } from '../api.ts';
import { CliError } from '../cli-errors.ts';
import { pause } from '../commands/shared/pause.ts';
import type { CliContext } from '../context.ts';
import { ConvergenceWatcher } from './convergence.ts';
import { type ProgressLines, progressLines } from './progress-lines.ts';
import { revisionsAlike } from './revisions-alike.ts';
import { isJobService, waitForJob } from './wait-for-job.ts';

/** Docker's pace; slower where asking takes long, so that a huge service is not asked for without a pause. */
const POLL_MS = 200;
const POLL_REST_FACTOR = 5;

export interface WaitOptions {
  readonly context: CliContext;
  readonly serviceId: string;
  /** As the user calls the service, for messages. */
  readonly reference: string;
  /** The status that the service had when the change was made: not news. */
  readonly knownStatus: UpdateStatus | undefined;
  readonly isQuiet: boolean;
  /** A rollback is what was asked for, and not a failure. */
  readonly expectsRollback?: boolean;
}

/**
 * Resolves once the service is stable, or the user went on without waiting (Ctrl-C leaves it as it is). Throws a
 * CliError when an update was paused or rolled back by itself, a SwarmError when the daemon cannot say. An update that
 * waits for a word on its canaries has gone as far as it can by itself: that is no failure.
 */
export async function waitForService(options: WaitOptions): Promise<void> {
  const { context, serviceId, reference, isQuiet } = options;
  const { service } = await (await context.api()).control.getService({ reference: serviceId });
  if (isJobService(service)) return waitForJob({ context, serviceId, reference, iteration: undefined, isQuiet });
  const interrupted = new AbortController();
  const release = context.onInterrupt(() => interrupted.abort());
  try {
    await new ServiceWait(options, await context.api()).run(interrupted.signal);
  } finally {
    release();
  }
}

const QUIET_LINES: ProgressLines = { show() {}, message() {} };

class ServiceWait {
  readonly #options: WaitOptions;
  readonly #api: SwarmApi;
  readonly #lines: ProgressLines;
  readonly #watcher = new ConvergenceWatcher();
  #isRollingBack = false;
  #rollbackCause = '';
  /** Revisions whose tasks are as good as those of the present one, by the number of the present one. */
  #alike: { readonly revision: number; readonly numbers: ReadonlySet<number> } | undefined;
  /** On the monotonic clock; undefined while it has not converged. */
  #convergedSince: number | undefined;

  constructor(options: WaitOptions, api: SwarmApi) {
    this.#options = options;
    this.#api = api;
    this.#lines = options.isQuiet ? QUIET_LINES : progressLines(options.context.stdout, options.context);
  }

  async run(interrupted: AbortSignal): Promise<void> {
    for (;;) {
      const { clock } = this.#options.context;
      const begun = clock.monotonic();
      const isDone = await this.#look();
      if (isDone) return;
      const took = clock.monotonic() - begun;
      await pause(this.#options.context, Math.max(POLL_MS, took * POLL_REST_FACTOR), interrupted);
      if (interrupted.aborted) {
        this.#sayGoodbye();
        return;
      }
    }
  }

  #sayGoodbye(): void {
    if (this.#convergedSince !== undefined) return;
    this.#lines.message('Operation continuing in background.');
    this.#lines.message(`Use \`swarm service ps ${this.#options.reference}\` to check progress.`);
  }

  /** One look at the service; true when there is nothing more to wait for. */
  async #look(): Promise<boolean> {
    const service = await this.#service();
    const hasConverged = this.#convergedSince !== undefined;
    const monitorMs = service.spec?.update?.monitorMs ?? DEFAULTS.updateMonitorMs;
    if (this.#readUpdateStatus(service, hasConverged)) {
      // With a short monitor the update may end between two looks: the last lines are those of its end.
      if (await this.#judge(service)) this.#sayConverged();
      return true;
    }
    // While it is under way only the managers know what is still watched, and how a rollback will end.
    const isUpdating = isUnderWay(service.updateStatus);
    if (hasConverged && !isUpdating && this.#elapsedMs() >= monitorMs) {
      this.#sayConverged();
      return true;
    }
    this.#verify(await this.#judge(service), monitorMs);
    return false;
  }

  /** Shows how far the service is; whether it has converged. */
  async #judge(service: Service): Promise<boolean> {
    const [tasks, nodes] = await Promise.all([this.#tasks(), this.#nodes()]);
    const alike = await this.#revisionsAlike(service);
    const judgement = this.#watcher.judge({ service, alike, tasks, nodes, isRollingBack: this.#isRollingBack });
    for (const line of judgement.lines) this.#lines.show(line);
    return judgement.hasConverged;
  }

  #sayConverged(): void {
    this.#lines.show({ id: 'verify', text: `Service ${this.#options.reference} converged` });
  }

  #elapsedMs(): number {
    return this.#options.context.clock.monotonic() - (this.#convergedSince ?? 0);
  }

  #verify(hasConverged: boolean, monitorMs: number): void {
    if (!hasConverged) {
      if (this.#convergedSince !== undefined) this.#lines.show({ id: 'verify', text: 'Detected task failure' });
      this.#convergedSince = undefined;
      return;
    }
    this.#convergedSince ??= this.#options.context.clock.monotonic();
    const waitMs = monitorMs - this.#elapsedMs();
    if (waitMs < 0) return;
    const seconds = Math.max(1, Math.ceil(waitMs / 1000));
    this.#lines.show({ id: 'verify', text: `Waiting ${seconds} seconds to verify that tasks are stable...` });
  }

  /** News of the update itself; true when it has ended well. */
  #readUpdateStatus({ updateStatus: status }: Service, hasConverged: boolean): boolean {
    if (status === undefined || isKnown(status, this.#options.knownStatus)) return false;
    switch (status.state) {
      case UpdateState.UPDATING:
        this.#isRollingBack = false;
        return false;
      case UpdateState.COMPLETED:
        return !hasConverged;
      case UpdateState.PAUSED:
        if (status.pauseReason === UpdatePauseReason.CANARY) return this.#sayCanariesWait(status);
        throw this.#failure(`service update paused: ${status.message}`, status);
      case UpdateState.ROLLBACK_STARTED:
        if (!this.#isRollingBack && status.message !== '') this.#lines.show({ id: 'rollback', text: status.message });
        this.#rollbackCause = status.message;
        this.#isRollingBack = true;
        return false;
      case UpdateState.ROLLBACK_PAUSED:
        throw this.#failure(`service rollback paused: ${status.message}`, status);
      case UpdateState.ROLLBACK_COMPLETED:
        this.#isRollingBack = true;
        if (this.#options.expectsRollback === true) return true;
        throw this.#failure(`service update rolled back: ${this.#rollbackCause || status.message}`, status);
      case UpdateState.UNSPECIFIED:
        return false;
    }
  }

  /** What to do next is the operator's; true, for there is nothing more to wait for. */
  #sayCanariesWait(status: UpdateStatus): boolean {
    const { reference } = this.#options;
    this.#lines.show({ id: 'canaries', text: status.message });
    this.#lines.message(`Use \`swarm service rollout promote ${reference}\` to let the rest follow,`);
    this.#lines.message(`or \`swarm service rollout abort ${reference}\` to return to what was there before.`);
    return true;
  }

  #failure(message: string, { failedTask, failedTaskLog }: UpdateStatus): CliError {
    const { reference } = this.#options;
    const lines =
      failedTaskLog.length === 0
        ? []
        : [`last lines of task ${failedTask}:`, ...failedTaskLog.map((line) => `  ${line}`)];
    const hint = `see \`swarm service rollout status ${reference}\` and \`swarm service ps ${reference}\``;
    return new CliError([message, ...lines].join('\n'), { hint });
  }

  /** Asked for once for each revision. */
  async #revisionsAlike(service: Service): Promise<ReadonlySet<number>> {
    if (this.#alike?.revision === service.revision) return this.#alike.numbers;
    const numbers = await revisionsAlike(this.#api, service);
    this.#alike = { revision: service.revision, numbers };
    return numbers;
  }

  async #service(): Promise<Service> {
    const { service } = await this.#api.control.getService({ reference: this.#options.serviceId });
    if (service === undefined) throw new CliError(`service ${this.#options.reference} was removed`);
    return service;
  }

  async #tasks(): Promise<readonly TaskView[]> {
    const tasks: TaskView[] = [];
    const request = { serviceIds: [this.#options.serviceId] };
    for await (const page of this.#api.control.listTasks(request)) tasks.push(...page.tasks);
    return tasks;
  }

  async #nodes(): Promise<readonly Node[]> {
    const nodes: Node[] = [];
    for await (const page of this.#api.control.listNodes({})) nodes.push(...page.nodes);
    return nodes;
  }
}

function isUnderWay(status: UpdateStatus | undefined): boolean {
  return status?.state === UpdateState.UPDATING || status?.state === UpdateState.ROLLBACK_STARTED;
}

function isKnown(status: UpdateStatus, known: UpdateStatus | undefined): boolean {
  return known !== undefined && known.state === status.state && known.startedAtMs === status.startedAtMs;
}
