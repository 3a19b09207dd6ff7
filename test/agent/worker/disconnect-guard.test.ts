/**
 * Goal: a task that is not to go on without managers is stopped in time, whatever happens to the daemon and to clocks,
 * and no other task is. Method: the real guard, worker and task machines under a manual clock; the executor is pretended.
 */
import assert from 'node:assert/strict';
import { MemoryDatabase } from '#agent/database/index.ts';
import { type LogLine, SIMULATED_DEFAULTS, SimulatedExecutor, SimulatedHost } from '#agent/executor/index.ts';
import type { TaskAssignment } from '#agent/tasks/index.ts';
import { DisconnectGuard, readBootClock, WORKER_DEFAULTS, Worker } from '#agent/worker/index.ts';
import { ManualClock } from '#common/clock.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { Revision, Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { ContainerSpec, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';

const LIMIT_MS = 20_000;
const LOOK_MS = WORKER_DEFAULTS.guardLookMs;

async function settle(): Promise<void> {
  for (let round = 0; round < 30; round++) await new Promise((resolve) => setImmediate(resolve));
}

function task(id: string, number: number, version = 1): Task {
  return Task.create({
    id,
    serviceId: 's',
    revision: number,
    slot: number,
    nodeId: 'n',
    version,
    desiredState: TaskState.RUNNING,
    status: TaskStatus.create({ state: TaskState.ASSIGNED }),
  });
}

/** Stops as slowly as the test wants; says in which order things were done. */
class SlowExecutor extends SimulatedExecutor {
  readonly #agent: Agent;
  #reading = 0;

  constructor(agent: Agent) {
    super(agent.clock, agent.host, () => ({ ...SIMULATED_DEFAULTS, stopMs: agent.stopMs }));
    this.#agent = agent;
  }

  override shutdown(assignment: TaskAssignment, signal: AbortSignal): Promise<void> {
    this.#agent.done.push(`stop ${assignment.task.id}`);
    return super.shutdown(assignment, signal);
  }

  // oxlint-disable-next-line require-yield -- it takes its time, and has nothing to say
  override async *logs(taskId: string): AsyncIterable<LogLine> {
    this.#agent.done.push(`read ${taskId}`);
    this.#agent.readAtOnce = Math.max(this.#agent.readAtOnce, ++this.#reading);
    await settle();
    this.#reading--;
  }
}

class Agent {
  stopMs = 1;
  readonly done: string[] = [];
  readAtOnce = 0;
  readonly clock = new ManualClock();
  readonly host = new SimulatedHost();
  readonly database = new MemoryDatabase();
  bootId = 'first';
  /** Of the host's start, on the daemon's monotonic clock. */
  bootMs = -1_000_000;
  worker!: Worker;
  guard!: DisconnectGuard;

  get bootNowMs(): number {
    return this.clock.monotonic() - this.bootMs;
  }

  async start(): Promise<void> {
    const { clock, database } = this;
    const executor = new SlowExecutor(this);
    this.worker = new Worker({
      executor,
      database,
      clock,
      random: new SeededRandom(1),
      logger: silentLogger,
      config: WORKER_DEFAULTS,
      node: { id: 'n', hostname: 'n' },
      overdue: (assignment) => this.guard.overdue(assignment),
      onStatus: () => {},
      onFailure: (error) => assert.fail(error),
    });
    this.guard = new DisconnectGuard({
      assignments: () => this.worker.assignments(),
      stop: (taskId, reason) => this.worker.stop(taskId, reason),
      database,
      clock,
      bootClock: { bootId: this.bootId, nowMs: () => this.bootNowMs },
      logger: silentLogger,
      config: WORKER_DEFAULTS,
    });
    this.guard.start((await database.load()).settings);
    await this.worker.start();
    await this.pass(10);
  }

  async kill(): Promise<void> {
    this.guard.close();
    await this.worker.close();
  }

  /** Nothing of it is left that ran. */
  reboot(): void {
    this.host.containers.clear();
    this.bootId = 'second';
    this.bootMs = this.clock.monotonic();
  }

  async assign(): Promise<void> {
    this.guard.heard(this.bootNowMs);
    const revision = (number: number, stopAfterDisconnectMs: number | undefined): Revision => {
      const task = TaskSpec.create({ container: ContainerSpec.create({ image: 'x' }), stopAfterDisconnectMs });
      return Revision.create({
        id: `r${number}`,
        serviceId: 's',
        number,
        spec: ServiceSpec.create({ name: 'web', task }),
      });
    };
    await this.worker.apply({
      complete: true,
      version: 1,
      changes: [
        { item: { kind: 'revision', value: revision(1, LIMIT_MS) }, remove: false },
        { item: { kind: 'revision', value: revision(2, undefined) }, remove: false },
        { item: { kind: 'task', value: task('bound', 1) }, remove: false },
        { item: { kind: 'task', value: task('free', 2) }, remove: false },
      ],
    });
    await this.pass(1000);
    assert.deepEqual(this.states(), ['RUNNING', 'RUNNING']);
  }

  /** Of the bound task and of the free one. */
  states(): readonly (string | undefined)[] {
    const name = (id: string): string | undefined =>
      Object.entries(TaskState).find(([, value]) => value === this.worker.status(id)?.state)?.[0];
    return [name('bound'), name('free')];
  }

  async pass(ms: number): Promise<void> {
    await settle();
    for (let left = ms; left > 0; left -= 100) {
      this.clock.advance(Math.min(100, left));
      await settle();
    }
  }
}

describe('agent: tasks that are not to go on without managers', () => {
  let agent: Agent;

  beforeEach(async () => {
    agent = new Agent();
    await agent.start();
    await agent.assign();
  });
  afterEach(() => agent.kill());

  it('are stopped after their limit, and say why; others go on', async () => {
    await agent.pass(LIMIT_MS - 1000 - LOOK_MS);
    assert.deepEqual(agent.states(), ['RUNNING', 'RUNNING']);
    await agent.pass(2 * LOOK_MS + 100);
    assert.deepEqual(agent.states(), ['SHUTDOWN', 'RUNNING']);
    assert.match(agent.worker.status('bound')?.error ?? '', /^stopped: no manager for 2\d s$/);
  });

  it('go on as long as managers are heard of', async () => {
    for (let round = 0; round < 5; round++) {
      await agent.pass(LIMIT_MS / 2);
      agent.guard.heard(agent.bootNowMs - 1000);
    }
    assert.deepEqual(agent.states(), ['RUNNING', 'RUNNING']);
  });

  it('are stopped as soon as their host wakes up, when it slept for longer than their limit', async () => {
    agent.bootMs -= LIMIT_MS;
    await agent.pass(LOOK_MS + 100);
    assert.deepEqual(agent.states(), ['SHUTDOWN', 'RUNNING']);
  });

  it('wall clocks that jump change nothing', async () => {
    agent.clock.setWall(agent.clock.now() + 3_600_000);
    await agent.pass(LIMIT_MS / 2);
    assert.deepEqual(agent.states(), ['RUNNING', 'RUNNING']);
    agent.clock.setWall(agent.clock.now() - 7_200_000);
    await agent.pass(LIMIT_MS / 2 + LOOK_MS);
    assert.deepEqual(agent.states(), ['SHUTDOWN', 'RUNNING']);
  });

  it('a daemon that was away for a moment goes on counting where it was', async () => {
    await agent.pass(LIMIT_MS / 2);
    await agent.kill();
    agent.clock.advance(LIMIT_MS / 4);
    await agent.start();
    assert.deepEqual(agent.states(), ['RUNNING', 'RUNNING']);
    await agent.pass(LIMIT_MS / 4 + LOOK_MS);
    assert.deepEqual(agent.states(), ['SHUTDOWN', 'RUNNING']);
  });

  it('one that was away for longer stops them before anything else, and keeps to it', async () => {
    await agent.pass(1000);
    await agent.kill();
    agent.clock.advance(LIMIT_MS);
    await agent.start();
    assert.deepEqual(agent.states(), ['SHUTDOWN', 'RUNNING']);
    await agent.kill();
    agent.clock.advance(1000);
    await agent.start();
    agent.guard.heard(agent.bootNowMs);
    await agent.pass(1000);
    assert.deepEqual(agent.states(), ['SHUTDOWN', 'RUNNING']);
  });

  it('one that is killed while it stops a task goes on with that, though managers are back', async () => {
    await agent.pass(LIMIT_MS - 2000);
    for (let ms = 0; ms < 4000 && agent.worker.assignments()[0]?.task.desiredState !== TaskState.SHUTDOWN; ms++)
      agent.clock.advance(1);
    assert.equal(agent.states()[0], 'RUNNING', 'it has just been told to stop');
    await agent.kill();
    await settle();
    await agent.start();
    agent.guard.heard(agent.bootNowMs);
    await agent.pass(1000);
    assert.deepEqual(agent.states(), ['SHUTDOWN', 'RUNNING']);
    assert.match(agent.worker.status('bound')?.error ?? '', /^stopped: no manager for \d+ s$/);
  });

  it('what a daemon has begun to stop at its start it goes on to stop at its next, whatever managers say', async () => {
    agent.stopMs = 5000;
    await agent.kill();
    agent.clock.advance(LIMIT_MS);
    await agent.start();
    assert.deepEqual(agent.states(), ['RUNNING', 'RUNNING'], 'it takes its time to end');
    agent.guard.heard(agent.bootNowMs);
    const item = { kind: 'task', value: task('bound', 1, 2) } as const;
    await agent.worker.apply({ complete: false, version: 2, changes: [{ item, remove: false }] });
    await agent.pass(1000);
    await agent.kill();
    await agent.start();
    await agent.pass(agent.stopMs);
    assert.deepEqual(agent.states(), ['SHUTDOWN', 'RUNNING']);
    assert.match(agent.worker.status('bound')?.error ?? '', /^stopped: no manager for \d+ s$/);
  });

  it('they are stopped before it is looked at what others died of, of which only some are read at a time', async () => {
    const many = Array.from({ length: 100 }, (_, number) => task(`many${number}`, 2));
    const changes = many.map((value) => ({ item: { kind: 'task', value } as const, remove: false }));
    await agent.worker.apply({ complete: false, version: 2, changes });
    await agent.pass(1000);
    await agent.kill();
    const others = new SimulatedExecutor(agent.clock, agent.host);
    for (const { id } of many) others.end(id, 1);
    agent.clock.advance(LIMIT_MS);
    agent.done.length = 0;
    await agent.start();
    assert.equal(agent.done[0], 'stop bound');
    assert.equal(agent.done.length, 101);
    assert.equal(agent.readAtOnce, WORKER_DEFAULTS.explainedAtATime);
  });

  it('after a reboot nothing starts that would have had to stop', async () => {
    await agent.kill();
    agent.reboot();
    agent.clock.advance(1000);
    await agent.start();
    await agent.pass(5000);
    assert.equal(agent.host.containers.has('bound'), false);
    assert.ok((agent.worker.status('bound')?.state ?? 0) > TaskState.RUNNING);
  });

  it('the clock of this host goes on, and has a name that lasts until the next start', async () => {
    const [first, second] = [await readBootClock(), await readBootClock()];
    assert.equal(first.bootId, second.bootId);
    assert.match(first.bootId, /^[0-9a-f-]{36}$/);
    assert.ok(second.nowMs() >= first.nowMs() && first.nowMs() > 0);
  });
});
