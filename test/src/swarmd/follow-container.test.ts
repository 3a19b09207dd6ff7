/**
 * Goal: who follows a container gets every status, all of its output, and last how it ended, whenever they begin. Method: a
 * worker and an executor that the test plays.
 */
import assert from 'node:assert/strict';
import type { LogLine, LogQuery } from '#agent/executor/index.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { FollowContainerRequest } from '#gen/swarm/v1/containers.ts';
import { LogOptions, LogStream } from '#gen/swarm/v1/logs.ts';
import { ContainerStatus, TaskState, TaskStateNames, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { followContainer } from '#src/swarmd/follow-container.ts';
import { failure } from '#test/support/failure.ts';

class Host {
  readonly controller = new AbortController();
  readonly #watchers = new Set<() => void>();
  readonly #ended = Promise.withResolvers<void>();
  #status: TaskStatus | undefined;
  asked: LogQuery[] = [];
  lines: readonly LogLine[] = [];

  set(state: TaskState, fields: Partial<TaskStatus> = {}): void {
    this.#status = TaskStatus.create({ state, ...fields });
    if (state > TaskState.RUNNING) this.#ended.resolve();
    this.#tell();
  }

  forget(): void {
    this.#status = undefined;
    this.#tell();
  }

  #tell(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  async *#logs(query: LogQuery): AsyncGenerator<LogLine> {
    this.asked.push(query);
    yield* this.lines;
    if (query.follow) await this.#ended.promise;
  }

  /** What a follower gets, as short texts, until the stream ends. */
  async follow(
    fields: Partial<FollowContainerRequest> = {},
    heard: (text: string) => void = () => {},
  ): Promise<string[]> {
    const texts: string[] = [];
    const request = FollowContainerRequest.create({ id: 't1', ...fields });
    const events = followContainer(request, {
      worker: {
        status: () => this.#status,
        onChange: (callback) => {
          this.#watchers.add(callback);
          return () => this.#watchers.delete(callback);
        },
      },
      executor: {
        logs: (_id, query) => this.#logs(query),
      },
      signal: this.controller.signal,
    });
    for await (const { status, messages } of events) {
      const all = messages.map(
        ({ data, stream }) => `${stream === LogStream.STDERR ? 'err' : 'out'}:${new TextDecoder().decode(data)}`,
      );
      if (status !== undefined) all.push(TaskStateNames[status.state]);
      texts.push(...all);
      for (const text of all) heard(text);
    }
    assert.equal(this.watchers, 0, 'nobody is left who waits');
    return texts;
  }
}

const line = (text: string, stream: LogLine['stream'] = 'stdout'): LogLine => ({
  timestampNs: 1_000,
  stream,
  data: new TextEncoder().encode(text),
});

const exited = { container: ContainerStatus.create({ exitCode: 3 }) };

describe('swarmd: follow a container', () => {
  it('waits for a container that is not there yet, and gives all of it to its end', async () => {
    const host = new Host();
    host.lines = [line('a'), line('b', 'stderr')];
    const texts = host.follow({}, (text) => {
      if (text === 'PREPARING') host.set(TaskState.RUNNING);
      if (text === 'err:b') host.set(TaskState.FAILED, exited);
    });
    host.set(TaskState.PREPARING);
    const all = await withDeadline(texts, 5_000, 'the end');
    assert.deepEqual(
      all.filter((text) => /[A-Z]{3}/.test(text)),
      ['PREPARING', 'RUNNING', 'FAILED'],
    );
    assert.deepEqual(
      all.filter((text) => text.includes(':')),
      ['out:a', 'err:b'],
    );
    assert.equal(all.at(-1), 'FAILED');
  });

  it('gives the output of one that has ended already, and nothing of one that never ran', async () => {
    const ended = new Host();
    ended.lines = [line('a')];
    ended.set(TaskState.COMPLETE, exited);
    assert.deepEqual(await ended.follow(), ['out:a', 'COMPLETE']);
    const rejected = new Host();
    rejected.set(TaskState.REJECTED, { error: 'no image' });
    assert.deepEqual(await rejected.follow(), ['REJECTED']);
    assert.deepEqual(rejected.asked, []);
  });

  it('gives statuses alone, or what there is of the output alone', async () => {
    const host = new Host();
    host.lines = [line('a')];
    host.set(TaskState.COMPLETE, exited);
    assert.deepEqual(await host.follow({ withoutOutput: true }), ['COMPLETE']);
    host.set(TaskState.RUNNING);
    assert.deepEqual(await host.follow({ options: LogOptions.create({ tail: 5, sinceUs: 2 }) }), ['out:a']);
    assert.deepEqual(host.asked.at(-1), { follow: false, tail: 5, sinceNs: 2000, untilNs: undefined });
  });

  it('says that it was removed, and ends with who asks', async () => {
    const host = new Host();
    host.set(TaskState.READY);
    const removed = failure(host.follow({ withoutOutput: true }, () => host.forget()));
    assert.equal((await withDeadline(removed, 5_000, 'the news')).reason, 'unknown-object');
    const left = new Host();
    const nobody = left.follow();
    left.controller.abort();
    assert.deepEqual(await withDeadline(nobody, 5_000, 'the end'), []);
  });
});
