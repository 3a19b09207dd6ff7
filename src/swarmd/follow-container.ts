/** One container of this node from now until its end: its status as it changes, its output, and last how it ended. */
import type { Executor, LogLine, LogQuery } from '#agent/executor/index.ts';
import type { Worker } from '#agent/worker/index.ts';
import { SwarmError } from '#common/errors.ts';
import { mergeAsync, withPauses } from '#common/system/async-merge.ts';
import { type FollowContainerRequest, FollowContainerResponse } from '#gen/swarm/v1/containers.ts';
import { LogMessage, type LogOptions, LogStream } from '#gen/swarm/v1/logs.ts';
import { TaskState, type TaskStatus } from '#gen/swarm/v1/objects.ts';

export interface FollowSources {
  readonly worker: Pick<Worker, 'status' | 'onChange'>;
  readonly executor: Pick<Executor, 'logs'>;
  /** Ends all of it. */
  readonly signal: AbortSignal;
}

/** Lines and bytes that travel together. */
const LINES_PER_MESSAGE = 200;
const BYTES_PER_MESSAGE = 64 * 1024;

/**
 * Waits for a container that the node does not have yet, for as long as it is asked.
 * @throws SwarmError `unknown-object` when the container is removed meanwhile
 */
export async function* followContainer(
  request: FollowContainerRequest,
  sources: FollowSources,
): AsyncGenerator<FollowContainerResponse> {
  const query = queryOf(request.options);
  if (!query.follow) {
    yield* output(request.id, query, sources);
    return;
  }
  const statuses = new Statuses(request.id, sources);
  const parts = [untilEnd(statuses)];
  if (!request.withoutOutput) parts.push(outputOnceRun(request.id, query, statuses, sources));
  yield* mergeAsync(parts);
  if (!sources.signal.aborted) yield FollowContainerResponse.create({ status: statuses.current() });
}

class Statuses {
  readonly #id: string;
  readonly #sources: FollowSources;
  #wasSeen = false;

  constructor(id: string, sources: FollowSources) {
    this.#id = id;
    this.#sources = sources;
  }

  /** @throws SwarmError `unknown-object` */
  current(): TaskStatus {
    const status = this.#look();
    if (status === undefined) throw this.#gone();
    return status;
  }

  /** The next status that is as wanted; undefined when nobody waits any more. */
  async next(wanted: (status: TaskStatus) => boolean): Promise<TaskStatus | undefined> {
    const { worker, signal } = this.#sources;
    const { promise, resolve, reject } = Promise.withResolvers<TaskStatus | undefined>();
    const look = (): void => {
      try {
        const status = this.#look();
        if (signal.aborted) resolve(undefined);
        else if (status !== undefined && wanted(status)) resolve(status);
      } catch (thrown) {
        reject(SwarmError.from(thrown));
      }
    };
    const unsubscribe = worker.onChange(look);
    signal.addEventListener('abort', look);
    look();
    try {
      return await promise;
    } finally {
      unsubscribe();
      signal.removeEventListener('abort', look);
    }
  }

  #look(): TaskStatus | undefined {
    const status = this.#sources.worker.status(this.#id);
    if (status === undefined && this.#wasSeen) throw this.#gone();
    if (status !== undefined) this.#wasSeen = true;
    return status;
  }

  #gone(): SwarmError {
    return new SwarmError({
      code: 'not-found',
      reason: 'unknown-object',
      message: `container ${this.#id} was removed`,
      hint: 'see `swarm task ls`',
    });
  }
}

function hasEnded(status: TaskStatus): boolean {
  return status.state > TaskState.RUNNING;
}

/** Every status but the last. */
async function* untilEnd(statuses: Statuses): AsyncGenerator<FollowContainerResponse> {
  let last: TaskStatus | undefined;
  for (;;) {
    const status = await statuses.next((now) => now !== last);
    if (status === undefined || hasEnded(status)) return;
    last = status;
    yield FollowContainerResponse.create({ status });
  }
}

function queryOf(options: LogOptions | undefined): LogQuery {
  if (options === undefined) return { follow: true, tail: undefined, sinceNs: undefined, untilNs: undefined };
  const nanoseconds = (us: number): number | undefined => (us === 0 ? undefined : us * 1000);
  return {
    follow: options.follow,
    tail: options.tail < 0 ? undefined : options.tail,
    sinceNs: nanoseconds(options.sinceUs),
    untilNs: nanoseconds(options.untilUs),
  };
}

async function* outputOnceRun(
  id: string,
  query: LogQuery,
  statuses: Statuses,
  sources: FollowSources,
): AsyncGenerator<FollowContainerResponse> {
  const status = await statuses.next(({ state }) => state >= TaskState.RUNNING);
  // What never ran has written nothing.
  if (status === undefined || (hasEnded(status) && status.container === undefined)) return;
  yield* output(id, query, sources);
}

async function* output(
  id: string,
  query: LogQuery,
  { executor, signal }: FollowSources,
): AsyncGenerator<FollowContainerResponse> {
  let messages: LogMessage[] = [];
  let bytes = 0;
  const take = (): FollowContainerResponse => {
    const response = FollowContainerResponse.create({ messages });
    messages = [];
    bytes = 0;
    return response;
  };
  for await (const line of withPauses(executor.logs(id, query, signal))) {
    if (line !== 'pause') {
      messages.push(messageOf(line));
      bytes += line.data.length;
    }
    const isFull = messages.length >= LINES_PER_MESSAGE || bytes >= BYTES_PER_MESSAGE;
    if (messages.length > 0 && (isFull || line === 'pause')) yield take();
  }
  if (messages.length > 0) yield take();
}

function messageOf({ timestampNs, stream, data }: LogLine): LogMessage {
  const timestampUs = Math.floor(timestampNs / 1000);
  return LogMessage.create({ timestampUs, stream: stream === 'stdout' ? LogStream.STDOUT : LogStream.STDERR, data });
}
