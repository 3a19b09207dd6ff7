/**
 * The agent's half of the log broker: hears of subscriptions and sends what the executor has of the tasks. Every task
 * is read by itself, so that one that cannot be read does not hold up the others.
 */
import type { Executor, LogQuery } from '#agent/executor/index.ts';
import { type BackoffOptions, backoffDelay } from '#common/backoff.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import { mergeAsync, withPauses } from '#common/system/async-merge.ts';
import {
  type ListenSubscriptionsResponse,
  type LogMessage,
  type LogOptions,
  LogStream,
  PublishLogsRequest,
  type TaskLogPosition,
} from '#gen/swarm/v1/logs.ts';

/** The broker of a manager. */
export interface BrokerConnection {
  listen(signal: AbortSignal): AsyncIterable<ListenSubscriptionsResponse>;
  /** Sends until the messages end; rejects when nobody reads any more. */
  publish(messages: AsyncIterable<PublishLogsRequest>, signal: AbortSignal): Promise<void>;
}

/** The way to the manager that the node's session is with: only there logs are asked for. */
export interface BrokerLink {
  readonly broker: BrokerConnection;
  /** Aborted when the session ends, and subscriptions with it. */
  readonly ended: AbortSignal;
}

export interface LogPublisherOptions {
  /** Undefined while there is no session. */
  readonly connect: () => BrokerLink | undefined;
  readonly executor: Executor;
  readonly serviceOf: (taskId: string) => string;
  readonly nodeId: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const RECONNECT: BackoffOptions = { baseMs: 200, maxMs: 4_000, factor: 2, jitter: 0.5 };
/** Lines and bytes that travel together: enough to be cheap, little enough to be prompt. */
const LINES_PER_MESSAGE = 200;
const BYTES_PER_MESSAGE = 256 * 1024;
/** What may be lost of times in numbers. */
const COARSE_US = 1;
const SUBSCRIPTIONS_MAX = 1000;

export class LogPublisher {
  readonly #options: LogPublisherOptions;
  readonly #active = new Map<string, { readonly tasks: Set<string>; readonly controller: AbortController }>();
  readonly #closing = new AbortController();
  #running: Promise<void> | undefined;
  #attempt = 0;
  /** Ends the pause of the moment. */
  #wake: (() => void) | undefined;

  constructor(options: LogPublisherOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** There is a session: what is asked for is asked there, without waiting for the next attempt. */
  connected(): void {
    this.#attempt = 0;
    this.#wake?.();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const link = this.#options.connect();
      try {
        if (link !== undefined)
          for await (const message of link.broker.listen(AbortSignal.any([signal, link.ended]))) {
            this.#attempt = 0;
            this.#take(link.broker, message);
          }
      } catch (thrown) {
        this.#options.logger.debug('log subscriptions lost', { error: SwarmError.from(thrown).message });
      }
      for (const { controller } of this.#active.values()) controller.abort();
      this.#active.clear();
      if (!signal.aborted) await this.#pause(backoffDelay(RECONNECT, this.#attempt++, this.#options.random));
    }
  }

  async #pause(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.setTimer(delayMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
    this.#wake = undefined;
  }

  #take(connection: BrokerConnection, message: ListenSubscriptionsResponse): void {
    const { subscriptionId } = message;
    const existing = this.#active.get(subscriptionId);
    if (message.close) {
      existing?.controller.abort();
      this.#active.delete(subscriptionId);
      return;
    }
    if (existing === undefined && this.#active.size >= SUBSCRIPTIONS_MAX) return;
    const entry = existing ?? { tasks: new Set<string>(), controller: new AbortController() };
    this.#active.set(subscriptionId, entry);
    const fresh = message.taskIds.filter((taskId) => !entry.tasks.has(taskId));
    for (const taskId of fresh) entry.tasks.add(taskId);
    const { signal } = entry.controller;
    connection.publish(this.#messages(message, fresh, signal), signal).catch((thrown: unknown) => {
      entry.controller.abort();
      this.#options.logger.debug('a log subscription ended', { error: SwarmError.from(thrown).message });
    });
  }

  async *#messages(
    subscription: ListenSubscriptionsResponse,
    taskIds: readonly string[],
    signal: AbortSignal,
  ): AsyncGenerator<PublishLogsRequest> {
    const { subscriptionId } = subscription;
    const positions = new Map(subscription.options?.resume?.tasks.map((position) => [position.taskId, position]));
    const sources = taskIds.map((taskId) => this.#readTask(taskId, subscription, positions.get(taskId), signal));
    for await (const request of mergeAsync(sources)) yield request;
    yield PublishLogsRequest.create({ subscriptionId, done: true });
  }

  async *#readTask(
    taskId: string,
    { subscriptionId, options }: ListenSubscriptionsResponse,
    position: TaskLogPosition | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<PublishLogsRequest> {
    const query = queryOf(options, position);
    const wanted = options?.streams ?? [];
    const readUntilUs = new Map(position?.streams.map(({ stream, timestampUs }) => [stream, timestampUs]));
    let messages: LogMessage[] = [];
    let bytes = 0;
    try {
      for await (const line of withPauses(this.#options.executor.logs(taskId, query, signal))) {
        if (line === 'pause') {
          if (messages.length > 0) yield PublishLogsRequest.create({ subscriptionId, messages });
          messages = [];
          bytes = 0;
          continue;
        }
        const stream = line.stream === 'stdout' ? LogStream.STDOUT : LogStream.STDERR;
        if (wanted.length > 0 && !wanted.includes(stream)) continue;
        const timestampUs = Math.floor(line.timestampNs / 1000);
        if (timestampUs < (readUntilUs.get(stream) ?? 0) - COARSE_US) continue;
        messages.push({
          taskId,
          nodeId: this.#options.nodeId,
          serviceId: this.#options.serviceOf(taskId),
          timestampUs,
          stream,
          data: line.data,
        });
        bytes += line.data.length;
        if (messages.length < LINES_PER_MESSAGE && bytes < BYTES_PER_MESSAGE) continue;
        yield PublishLogsRequest.create({ subscriptionId, messages });
        messages = [];
        bytes = 0;
      }
    } catch (thrown) {
      if (signal.aborted) return;
      const warning = `the logs of task ${taskId} cannot be read: ${SwarmError.from(thrown).message}`;
      yield PublishLogsRequest.create({ subscriptionId, messages, warnings: [warning] });
      return;
    }
    if (messages.length > 0) yield PublishLogsRequest.create({ subscriptionId, messages });
  }
}

/** What is wanted of a task that was read up to the position, or of which nothing was read yet. */
function queryOf(options: LogOptions | undefined, position: TaskLogPosition | undefined): LogQuery {
  const query: LogQuery = {
    follow: options?.follow ?? false,
    tail: options === undefined || options.tail < 0 ? undefined : options.tail,
    sinceNs: nanosecondsOf(options?.sinceUs),
    untilNs: nanosecondsOf(options?.untilUs),
    reachNs: nanosecondsOf(options?.resume?.beganUs),
  };
  if (position === undefined) return query;
  // All lines of the last time of either stream come again: the reader knows them by their number.
  const fromUs = Math.min(position.lastUs, ...position.streams.map(({ timestampUs }) => timestampUs)) - COARSE_US;
  return { ...query, tail: undefined, sinceNs: Math.max(fromUs, options?.sinceUs ?? 0) * 1000 };
}

function nanosecondsOf(us: number | undefined): number | undefined {
  return us === undefined || us === 0 ? undefined : us * 1000;
}
