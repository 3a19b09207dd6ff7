import { visibleLine } from '#common/readable-text.ts';
import type { TaskView } from '#gen/swarm/v1/control.ts';
import { type LogMessage, LogStream, type SubscribeLogsRequest } from '#gen/swarm/v1/logs.ts';
import type { Service, Task } from '#gen/swarm/v1/objects.ts';
import type { SwarmApi } from '../../api.ts';
import { CliError, EXIT_INTERRUPTED, SilentExit } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printWarning } from '../../context.ts';
import { boolFlag } from '../../flags.ts';
import { shortId } from '../../format/texts.ts';
import { isNotFound } from '../shared/each.ts';
import { FOLLOW, logOptions, SINCE, TAIL, TIMESTAMPS, timeText } from '../shared/log-flags.ts';

const DETAILS = boolFlag({ name: 'details', usage: 'Show extra details provided to logs' });
const NO_RESOLVE = boolFlag({ name: 'no-resolve', usage: 'Do not map IDs to Names in output' });
const NO_TASK_IDS = boolFlag({ name: 'no-task-ids', usage: 'Do not include task IDs in output' });
const NO_TRUNC = boolFlag({ name: 'no-trunc', usage: 'Do not truncate output' });
const RAW = boolFlag({ name: 'raw', usage: 'Do not neatly format logs' });

export const serviceLogs: CommandImplementation = {
  flags: [DETAILS, FOLLOW, NO_RESOLVE, NO_TASK_IDS, NO_TRUNC, RAW, SINCE, TAIL, TIMESTAMPS],
  examples: ['swarm service logs --follow --tail 20 web', 'swarm service logs --since 10m --timestamps web'],
  argumentKind: 'service',
  run: showLogs,
};

/** What the logs are wanted of. */
interface Target {
  readonly serviceIds: readonly string[];
  readonly taskIds: readonly string[];
  readonly isTty: boolean;
  /** Digits of the largest slot, so that names are of one width. */
  readonly slotDigits: number;
}

async function showLogs(invocation: Invocation): Promise<void> {
  const {
    context,
    flags,
    arguments: [reference = ''],
  } = invocation;
  const api = await context.api();
  const target = await findTarget(api, reference);
  if (target.isTty && !flags.isSet(RAW)) throw new CliError('tty service logs only supported with --raw');
  const request = requestOf(invocation, target);
  const names = new LogNames(api, invocation, target.slotDigits);
  const interrupted = new AbortController();
  const release = context.onInterrupt(() => interrupted.abort());
  try {
    for await (const { messages, warnings } of api.logs.subscribeLogs(request, { signal: interrupted.signal })) {
      for (const warning of warnings) printWarning(context, `warning: ${warning}`);
      for (const message of messages) await printMessage(invocation, names, target, message);
    }
  } catch (thrown) {
    if (!interrupted.signal.aborted) throw thrown;
  } finally {
    release();
  }
  // Also where the stream ended by itself in the same moment: who pressed Ctrl-C is told so.
  if (interrupted.signal.aborted) throw new SilentExit(EXIT_INTERRUPTED);
}

async function findTarget(api: SwarmApi, reference: string): Promise<Target> {
  try {
    return serviceTarget((await api.control.getService({ reference })).service as Service);
  } catch (thrown) {
    if (!isNotFound(thrown)) throw thrown;
  }
  try {
    const { task: view } = await api.control.getTask({ reference });
    const task = view?.task as Task;
    const isTty = view?.spec?.container?.tty ?? false;
    return { serviceIds: [], taskIds: [task.id], isTty, slotDigits: String(task.slot).length };
  } catch (thrown) {
    if (!isNotFound(thrown)) throw thrown;
    throw new CliError(`no such task or service: ${reference}`);
  }
}

function serviceTarget({ id, spec }: Service): Target {
  const { mode } = spec ?? {};
  const completions = mode?.kind === 'replicatedJob' ? (mode.value.totalCompletions ?? 1) : 0;
  const replicas = mode?.kind === 'replicated' ? mode.value.replicas : completions;
  return {
    serviceIds: [id],
    taskIds: [],
    isTty: spec?.task?.container?.tty ?? false,
    slotDigits: String(replicas).length,
  };
}

function requestOf({ context, flags }: Invocation, target: Target): Partial<SubscribeLogsRequest> {
  return {
    selector: { serviceIds: target.serviceIds, taskIds: target.taskIds, nodeIds: [] },
    options: logOptions(flags, context.clock.now()),
  };
}

async function printMessage(
  { context, flags }: Invocation,
  names: LogNames,
  target: Target,
  message: LogMessage,
): Promise<void> {
  const stream = message.stream === LogStream.STDERR ? context.stderr : context.stdout;
  const time = flags.isSet(TIMESTAMPS) ? `${timeText(message.timestampUs)} ` : '';
  const prefix = flags.isSet(RAW) ? time : `${time}${await names.of(message)}    | `;
  const end = target.isTty ? '' : '\n';
  stream.write(Buffer.concat([Buffer.from(prefix), message.data, Buffer.from(end)]));
}

/** `web.1.4xn3jjkb8bz6@node-a`, looked up once per task. */
class LogNames {
  readonly #api: SwarmApi;
  readonly #flags: Invocation['flags'];
  readonly #slotDigits: number;
  readonly #names = new Map<string, string>();

  constructor(api: SwarmApi, { flags }: Invocation, slotDigits: number) {
    this.#api = api;
    this.#flags = flags;
    this.#slotDigits = slotDigits;
  }

  async of(message: LogMessage): Promise<string> {
    let name = this.#names.get(message.taskId);
    if (name === undefined) {
      name = await this.#lookUp(message);
      this.#names.set(message.taskId, name);
    }
    return name;
  }

  async #lookUp({ taskId, serviceId, nodeId }: LogMessage): Promise<string> {
    const resolves = !this.#flags.isSet(NO_RESOLVE);
    const view = await this.#find(taskId);
    const service = (resolves && view?.serviceName) || serviceId;
    const node = (resolves && view?.nodeHostname) || nodeId;
    const slot = view?.task?.slot ?? 0;
    const id = this.#flags.isSet(NO_TRUNC) ? taskId : shortId(taskId);
    const taskText = this.#flags.isSet(NO_TASK_IDS) ? '' : `.${id}`;
    const name = visibleLine(`${service}.${slot}${taskText}@${node}`);
    const padding = ' '.repeat(Math.max(0, this.#slotDigits - String(slot).length));
    return `${name}${padding}`;
  }

  /** A task may have been reaped since it wrote; then its ids are its name. */
  async #find(reference: string): Promise<TaskView | undefined> {
    try {
      return (await this.#api.control.getTask({ reference })).task;
    } catch (thrown) {
      if (isNotFound(thrown)) return undefined;
      throw thrown;
    }
  }
}
