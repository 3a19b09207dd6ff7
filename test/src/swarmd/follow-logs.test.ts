/**
 * Goal: a reader that follows has every line once, however often the lead moves and wherever it is interrupted; it fails
 * at once where nothing can be read, and in the end where nothing comes back. Method: real log files, publisher and
 * brokers, one after the other; lines that share their times, and lines in pieces.
 */
import assert from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { type LogLine, type LogQuery, SimulatedExecutor } from '#agent/executor/index.ts';
import { DEFAULT_LOG_CONFIG, readLog } from '#agent/logs/index.ts';
import { type BrokerLink, LogPublisher } from '#agent/publisher/index.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { withDeadline } from '#common/system/deadline.ts';
import {
  LogOptions,
  LogSelector,
  PublishLogsRequest,
  SubscribeLogsRequest,
  type SubscribeLogsResponse,
} from '#gen/swarm/v1/logs.ts';
import { Node, NodeDescription, Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { LogBroker } from '#manager/logbroker/index.ts';
import { FOLLOWED_LOGS_DEFAULTS, type FollowedLogsConfig, followLogs } from '#src/swarmd/follow-logs.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';
import { eventually } from '#test/support/eventually.ts';

const WAIT_MS = 10_000;
const QUICK: FollowedLogsConfig = {
  retry: { baseMs: 1, maxMs: 5, factor: 2, jitter: 0.5 },
  giveUpMs: 300,
  tellMs: 100,
  standsMs: 5_000,
};

function moved(): SwarmError {
  return new SwarmError({ code: 'unavailable', reason: 'not-leader', message: 'the lead has moved' });
}

/** Reads logs from a directory, one file a task. */
class FileExecutor extends SimulatedExecutor {
  readonly directory: string;
  /** Tasks whose reader has come to the end of the file, and waits for more. */
  readonly waiting = new Set<string>();
  constructor(directory: string) {
    super(systemClock);
    this.directory = directory;
  }
  override logs(taskId: string, query: LogQuery, signal: AbortSignal): AsyncIterable<LogLine> {
    const config = { ...DEFAULT_LOG_CONFIG, followPollMs: 5 };
    const path = join(this.directory, taskId, 'log');
    const clock: Clock = {
      now: () => systemClock.now(),
      monotonic: () => systemClock.monotonic(),
      setTimer: (delayMs, fire) => {
        this.waiting.add(taskId);
        return systemClock.setTimer(delayMs, fire);
      },
    };
    return readLog({ path, ended: new Promise(() => {}), config, clock }, query, signal);
  }
}

/** One node's agent, and the broker of whoever leads. */
class Cluster {
  readonly view = new MemoryView();
  readonly executor: FileExecutor;
  readonly #publisher: LogPublisher;
  #broker: LogBroker;
  #session = new AbortController();
  #isAway = false;

  constructor(directory: string, tasks: readonly string[]) {
    this.executor = new FileExecutor(directory);
    const node = Node.create({ id: 'n', description: NodeDescription.create({ hostname: 'host-n' }) });
    const status = TaskStatus.create({ state: TaskState.RUNNING });
    this.view.commit([
      { kind: 'create', table: 'node', object: node },
      ...tasks.map(
        (id) =>
          ({
            kind: 'create',
            table: 'task',
            object: Task.create({ id, serviceId: 's', nodeId: 'n', status }),
          }) as const,
      ),
    ]);
    this.#broker = this.#newBroker();
    this.#publisher = new LogPublisher({
      connect: () => (this.#isAway ? undefined : this.#link()),
      executor: this.executor,
      serviceOf: () => 's',
      nodeId: 'n',
      clock: systemClock,
      random: new SeededRandom(2),
      logger: silentLogger,
    });
    this.#publisher.start();
  }

  get broker(): LogBroker {
    return this.#broker;
  }

  /** Another leader; the agent comes to it in its own time. */
  moveLead(): void {
    this.#broker.stop(moved());
    this.#broker = this.#newBroker();
    this.loseSession();
  }

  loseSession(): void {
    this.#session.abort();
    this.#session = new AbortController();
    setImmediate(() => this.#publisher.connected());
  }

  set away(isAway: boolean) {
    this.#isAway = isAway;
    this.loseSession();
  }

  async close(): Promise<void> {
    this.#session.abort();
    await this.#publisher.close();
  }

  #newBroker(): LogBroker {
    return new LogBroker(() => this.view, new SeededRandom(1), systemClock);
  }

  #link(): BrokerLink {
    const broker = this.#broker;
    const ended = this.#session.signal;
    return {
      broker: {
        listen: (signal) => broker.listen('n', signal),
        publish: (messages) => broker.publish('n', overTheWire(messages)),
      },
      ended,
    };
  }
}

async function* overTheWire(messages: AsyncIterable<PublishLogsRequest>): AsyncGenerator<PublishLogsRequest> {
  for await (const message of messages) yield PublishLogsRequest.decode(PublishLogsRequest.encode(message));
}

function requestOf(options: Partial<LogOptions> = {}): SubscribeLogsRequest {
  return SubscribeLogsRequest.create({
    selector: LogSelector.create({ serviceIds: ['s'] }),
    options: LogOptions.create({ follow: true, tail: -1, ...options }),
  });
}

const BASE_MS = Date.parse('2026-01-01T00:00:00Z');

interface Piece {
  readonly atUs: number;
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
  readonly partial: boolean;
}

function record({ atUs, stream, text, partial }: Piece): string {
  const time = new Date(BASE_MS + Math.floor(atUs / 1000)).toISOString().slice(0, -1);
  return `${time}${String(atUs % 1000).padStart(3, '0')}123+00:00 ${stream} ${partial ? 'P' : 'F'} ${text}\n`;
}

describe('followed logs', () => {
  let directory: string;
  let cluster: Cluster;
  let stop: AbortController;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-follow-'));
    stop = new AbortController();
  });
  afterEach(async () => {
    stop.abort();
    await cluster.close();
    await rm(directory, { recursive: true, force: true });
  });

  async function begin(...tasks: readonly string[]): Promise<void> {
    for (const task of tasks) {
      await mkdir(join(directory, task));
      await writeFile(join(directory, task, 'log'), '');
    }
    cluster = new Cluster(directory, tasks);
  }

  const write = (task: string, ...pieces: readonly Piece[]): Promise<void> =>
    appendFile(join(directory, task, 'log'), pieces.map(record).join(''));
  const nowUs = (): number => (Date.now() - BASE_MS) * 1000;
  const line = (text: string, atUs = nowUs()): Piece => ({ atUs, stream: 'stdout', text, partial: false });

  /** Follows in the background. */
  function follow(request = requestOf(), config = QUICK) {
    const lines: string[] = [];
    const warnings: string[] = [];
    let look = (): void => {};
    let pages = 0;
    const ended = (async () => {
      const signal = stop.signal;
      const read = (current: SubscribeLogsRequest) =>
        cluster.broker.subscribe(SubscribeLogsRequest.decode(SubscribeLogsRequest.encode(current)), signal);
      for await (const page of followLogs({ read, request, hasEnded: () => signal.aborted, signal, config })) {
        pages++;
        for (const message of page.messages) lines.push(Buffer.from(message.data).toString());
        warnings.push(...page.warnings);
        look();
      }
    })();
    ended.catch(() => {});
    const until = async (what: string, condition: () => boolean): Promise<void> => {
      const happened = new Promise<void>((resolve) => {
        look = () => {
          if (condition()) resolve();
        };
        look();
      });
      await withDeadline(happened, WAIT_MS, what);
    };
    return { lines, warnings, ended, until, pages: () => pages };
  }

  it('go on with the next leader from where they were', async () => {
    await begin('a', 'b');
    await write('a', line('a1'), line('a2'));
    await write('b', line('b1'));
    const reader = follow();
    await reader.until('three lines', () => reader.lines.length === 3);
    cluster.away = true;
    cluster.moveLead();
    // Written while nobody leads that the agent could tell.
    await write('a', line('a3'));
    await write('b', line('b2'));
    cluster.away = false;
    await reader.until('five lines', () => reader.lines.length >= 5);
    await write('b', line('b3'));
    await reader.until('six lines', () => reader.lines.length >= 6);
    assert.deepEqual(reader.lines.toSorted(), ['a1', 'a2', 'a3', 'b1', 'b2', 'b3']);
    assert.deepEqual(reader.warnings, [], 'nothing is said of agents that were on their way');
  });

  it('do not begin anew when the agent has lost its session, and the lead stays where it is', async () => {
    await begin('a');
    await write('a', line('a1'), line('a2'));
    const reader = follow();
    await reader.until('two lines', () => reader.lines.length === 2);
    cluster.loseSession();
    await write('a', line('a3'));
    await reader.until('three lines', () => reader.lines.length >= 3);
    cluster.moveLead();
    await write('a', line('a4'));
    await reader.until('four lines', () => reader.lines.length >= 4);
    assert.deepEqual(reader.lines, ['a1', 'a2', 'a3', 'a4']);
  });

  it('of a task that was silent have all that was written since, beyond the tail', async () => {
    await begin('a', 'silent');
    await write('silent', line('old', nowUs() - 60_000_000));
    await write('a', line('a1', nowUs() - 60_000_000), line('a2', nowUs() - 1));
    const reader = follow(requestOf({ tail: 0 }));
    await eventually('both logs to be read to their ends', () => cluster.executor.waiting.size === 2);
    await write('a', line('a3'));
    await reader.until('a line', () => reader.lines.length === 1);
    cluster.away = true;
    cluster.moveLead();
    await write('silent', line('new1'), line('new2'));
    cluster.away = false;
    await reader.until('three lines', () => reader.lines.length >= 3);
    assert.deepEqual(reader.lines, ['a3', 'new1', 'new2']);
  });

  it('have every line once, wherever they are interrupted', async function () {
    this.timeout(60_000);
    const piece = fc.record({
      // Many at the same time, as when a program prints a lot at once.
      stepUs: fc.nat({ max: 2 }),
      stream: fc.constantFrom('stdout' as const, 'stderr' as const),
      partial: fc.boolean(),
    });
    let round = 0;
    await begin();
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 40 }), fc.nat({ max: 40 }), async (steps, cut) => {
        const task = `t${++round}`;
        let atUs = nowUs();
        const pieces = steps.map(({ stepUs, stream, partial }, index) => {
          atUs += stepUs;
          return { atUs, stream, partial, text: `${index} ` };
        });
        const closing = (['stdout', 'stderr'] as const).map((stream) => ({
          atUs: atUs + 5,
          stream,
          partial: false,
          text: '.',
        }));
        await cluster.close();
        await begin(task);
        const all = [...pieces, ...closing];
        const early = all.slice(0, Math.min(cut, all.length));
        await write(task, ...early);
        const expected = linesOf(all);
        const reader = follow();
        await reader.until('the early lines', () => reader.lines.length === linesOf(early).length);
        if (early.length > 0 && reader.lines.length > 0) cluster.moveLead();
        await write(task, ...all.slice(early.length));
        await reader.until('all lines', () => reader.lines.length >= expected.length);
        cluster.moveLead();
        await write(task, { atUs: atUs + 6, stream: 'stdout', partial: false, text: 'last' });
        await reader.until('the last line', () => reader.lines.includes('last'));
        assert.deepEqual(reader.lines, [...expected, 'last']);
        stop.abort();
        await reader.ended;
        stop = new AbortController();
      }),
      {
        numRuns: 40,
        // A line that begins in the very moment of the last one, and ends after a line of the other stream.
        examples: [[[true, false].map((isWhole) => ({ stepUs: 0, stream: 'stderr' as const, partial: !isWhole })), 3]],
      },
    );
  });

  it('say it once when no manager leads for long, and end when that lasts', async () => {
    await begin('a');
    await write('a', line('a1'));
    let broken = false;
    const signal = stop.signal;
    const read = (request: SubscribeLogsRequest): AsyncIterable<SubscribeLogsResponse> => {
      if (!broken) return cluster.broker.subscribe(request, signal);
      throw new SwarmError({ code: 'unavailable', reason: 'no-quorum', message: '2 of 3 managers are missing' });
    };
    const warnings: string[] = [];
    const startMs = performance.now();
    await assert.rejects(
      async () => {
        for await (const page of followLogs({
          read,
          request: requestOf(),
          hasEnded: () => false,
          signal,
          config: QUICK,
        })) {
          warnings.push(...page.warnings);
          if (page.messages.length > 0) broken = true;
          if (broken) cluster.moveLead();
        }
      },
      { reason: 'no-quorum' },
    );
    assert.deepEqual(warnings, [
      'the output is interrupted, and goes on where it was when a manager leads again: 2 of 3 managers are missing',
    ]);
    assert.ok(performance.now() - startMs >= QUICK.giveUpMs);
  });

  it('fail at once where nothing was ever read, and where nothing will mend it', async () => {
    await begin('a');
    const signal = stop.signal;
    let reads = 0;
    const failing = (error: SwarmError, after: readonly SubscribeLogsResponse[] = []) => ({
      async *read() {
        reads++;
        await Promise.resolve();
        yield* after;
        throw error;
      },
      request: requestOf(),
      hasEnded: () => false,
      signal,
      config: FOLLOWED_LOGS_DEFAULTS,
    });
    const drain = async (options: Parameters<typeof followLogs>[0]): Promise<void> => {
      for await (const _page of followLogs(options));
    };
    const noQuorum = new SwarmError({ code: 'unavailable', reason: 'no-quorum', message: 'nobody leads' });
    await assert.rejects(drain(failing(noQuorum)), { reason: 'no-quorum' });
    const tooMany = new SwarmError({ code: 'exhausted', reason: 'too-many', message: 'full' });
    await assert.rejects(drain(failing(tooMany, [{ messages: [], warnings: ['x'] }])), { reason: 'too-many' });
    assert.equal(reads, 2);
  });

  it('tell of a node that does not come back', async () => {
    await begin('a');
    cluster.away = true;
    const reader = follow();
    await reader.until('the warning', () => reader.warnings.length > 0);
    assert.deepEqual(reader.warnings, ['incomplete log stream: node host-n is not available']);
    cluster.moveLead();
    await write('a', line('a1'));
    cluster.away = false;
    await reader.until('the line', () => reader.lines.length > 0);
    assert.deepEqual([reader.lines, reader.warnings.length], [['a1'], 1]);
  });
});

/** What the pieces are as lines, in the order in which these come to their ends. */
function linesOf(pieces: readonly Piece[]): readonly string[] {
  const open = { stdout: '', stderr: '' };
  const lines: string[] = [];
  for (const { stream, text, partial } of pieces) {
    open[stream] += text;
    if (partial) continue;
    lines.push(open[stream]);
    open[stream] = '';
  }
  return lines;
}
