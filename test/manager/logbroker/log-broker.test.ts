/**
 * Goal: a reader gets every line of the tasks it asked for, hears what is missing, and slow readers hold up only their
 * own publishers. Method: the real broker and the real publisher joined in one process; executors are pretended.
 */
import assert from 'node:assert/strict';
import type { LogLine } from '#agent/executor/index.ts';
import { SimulatedExecutor } from '#agent/executor/index.ts';
import { LogPublisher } from '#agent/publisher/index.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { withDeadline } from '#common/system/deadline.ts';
import {
  LogOptions,
  LogSelector,
  PublishLogsRequest,
  type SubscribeLogsRequest,
  type SubscribeLogsResponse,
} from '#gen/swarm/v1/logs.ts';
import { Node, NodeDescription, Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { LogBroker } from '#manager/logbroker/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

class PrintingExecutor extends SimulatedExecutor {
  readonly lines: readonly string[];
  readonly stay: boolean;
  constructor(lines: readonly string[], stay = false) {
    super(systemClock);
    this.lines = lines;
    this.stay = stay;
  }
  override async *logs(taskId: string, _query: unknown, signal: AbortSignal): AsyncIterable<LogLine> {
    if (taskId.startsWith('bad')) throw new Error('the log file is gone');
    let timestampNs = 1_795_240_000_000 * 1e6; // as large as real ones: they have to fit the wire
    for (const line of this.lines)
      yield { timestampNs: ++timestampNs, stream: 'stdout', data: Buffer.from(`${taskId} ${line}`) };
    if (this.stay) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
  }
}

class World {
  readonly view = new MemoryView();
  readonly broker = new LogBroker(() => this.view, new SeededRandom(1), systemClock);
  readonly publishers: LogPublisher[] = [];

  constructor() {
    this.view.onCommit((commit) => this.broker.observe(commit));
  }

  node(id: string): void {
    const description = NodeDescription.create({ hostname: `host-${id}` });
    this.view.commit([{ kind: 'create', table: 'node', object: Node.create({ id, description }) }]);
  }

  task(id: string, nodeId: string): void {
    const status = TaskStatus.create({ state: TaskState.RUNNING });
    this.view.commit([{ kind: 'create', table: 'task', object: Task.create({ id, serviceId: 's', nodeId, status }) }]);
  }

  async publisher(nodeId: string, executor: SimulatedExecutor): Promise<void> {
    let listening = (): void => {};
    const ready = new Promise<void>((resolve) => {
      listening = resolve;
    });
    const publisher = new LogPublisher({
      connect: () => ({
        broker: {
          listen: (signal) => {
            const messages = this.broker.listen(nodeId, signal);
            queueMicrotask(() => queueMicrotask(listening));
            return messages;
          },
          publish: (messages) => this.broker.publish(nodeId, overTheWire(messages)),
        },
        ended: new AbortController().signal,
      }),
      executor,
      serviceOf: () => 's',
      nodeId,
      clock: systemClock,
      random: new SeededRandom(2),
      logger: silentLogger,
    });
    publisher.start();
    this.publishers.push(publisher);
    await withDeadline(ready, 2000, 'the publisher to listen');
    await new Promise((resolve) => setImmediate(resolve));
  }

  request(follow = false): SubscribeLogsRequest {
    return { selector: LogSelector.create({ serviceIds: ['s'] }), options: LogOptions.create({ follow, tail: -1 }) };
  }

  async close(): Promise<void> {
    await Promise.all(this.publishers.map((publisher) => publisher.close()));
  }
}

/** Encoded and decoded, as between two hosts. */
async function* overTheWire(messages: AsyncIterable<PublishLogsRequest>): AsyncGenerator<PublishLogsRequest> {
  for await (const message of messages) yield PublishLogsRequest.decode(PublishLogsRequest.encode(message));
}

async function collect(stream: AsyncIterable<SubscribeLogsResponse>): Promise<{ lines: string[]; warnings: string[] }> {
  const lines: string[] = [];
  const warnings: string[] = [];
  for await (const page of stream) {
    for (const message of page.messages) lines.push(Buffer.from(message.data).toString());
    warnings.push(...page.warnings);
  }
  return { lines, warnings };
}

describe('log broker', () => {
  it('collects the lines of all nodes in order per task, and ends', async () => {
    const world = new World();
    for (const node of ['n1', 'n2']) world.node(node);
    world.task('a', 'n1');
    world.task('b', 'n2');
    const lines = Array.from({ length: 500 }, (_, index) => `line ${index}`);
    await world.publisher('n1', new PrintingExecutor(lines));
    await world.publisher('n2', new PrintingExecutor(lines));
    const got = await withDeadline(
      collect(world.broker.subscribe(world.request(), new AbortController().signal)),
      5000,
      'logs',
    );
    for (const task of ['a', 'b'])
      assert.deepEqual(
        got.lines.filter((line) => line.startsWith(task)),
        lines.map((line) => `${task} ${line}`),
      );
    assert.deepEqual(got.warnings, []);
    await world.close();
  });

  it('says which node is missing and which task cannot be read, and gives the rest', async () => {
    const world = new World();
    for (const node of ['n1', 'n2']) world.node(node);
    world.task('a', 'n1');
    world.task('bad', 'n1');
    world.task('c', 'n2');
    await world.publisher('n1', new PrintingExecutor(['hello']));
    const got = await withDeadline(
      collect(world.broker.subscribe(world.request(), new AbortController().signal)),
      5000,
      'logs',
    );
    assert.deepEqual(got.lines, ['a hello']);
    assert.match(got.warnings.join('\n'), /host-n2 is not available/);
    assert.match(got.warnings.join('\n'), /task bad cannot be read: the log file is gone/);
    await world.close();
  });

  it('following takes in tasks that come later and ends with the reader', async () => {
    const world = new World();
    world.node('n1');
    world.task('a', 'n1');
    await world.publisher('n1', new PrintingExecutor(['hello'], true));
    const controller = new AbortController();
    const seen: string[] = [];
    const reading = (async () => {
      for await (const page of world.broker.subscribe(world.request(true), controller.signal))
        for (const message of page.messages) {
          seen.push(Buffer.from(message.data).toString());
          if (seen.length === 1) world.task('b', 'n1');
          else controller.abort();
        }
    })();
    await withDeadline(reading, 5000, 'two lines');
    assert.deepEqual(seen, ['a hello', 'b hello']);
    await world.close();
  });
});
