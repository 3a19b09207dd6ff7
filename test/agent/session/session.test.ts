/**
 * Goal: what a manager assigns runs, what a node reports arrives, and nothing is lost when either side or the link
 * breaks. Method: the real dispatcher, session, worker and task machines in one process under a manual clock, joined
 * by a stream that can be cut; only the store and the executor are pretended.
 */
import assert from 'node:assert/strict';
import { MemoryDatabase } from '#agent/database/index.ts';
import { SimulatedExecutor, SimulatedHost } from '#agent/executor/index.ts';
import { payloadReferences } from '#agent/secrets/payload-store.ts';
import { type DispatcherStream, SESSION_DEFAULTS, Session } from '#agent/session/index.ts';
import { WORKER_DEFAULTS, Worker } from '#agent/worker/index.ts';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import type { SessionRequest, SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import {
  Node,
  NodeDescription,
  NodeState,
  PayloadVersion,
  Revision,
  Secret,
  SecretVersion,
  Task,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import { ContainerSpec, SecretReference, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { DISPATCHER_DEFAULTS, Dispatcher, type DispatcherSession } from '#manager/dispatcher/index.ts';
import type { Change } from '#manager/store/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const NODE = 'n'.repeat(25);
const SECRET = 'hunter2-in-memory-only';

/** Lets promises settle, without time passing. */
async function settle(): Promise<void> {
  for (let round = 0; round < 50; round++) await new Promise((resolve) => setImmediate(resolve));
}

class World {
  readonly clock = new ManualClock();
  readonly view = new MemoryView();
  readonly host = new SimulatedHost();
  readonly database = new MemoryDatabase();
  linkUp = true;
  /** What was sent into the cut link: like TCP, it arrives once the link is back, if its stream still lives. */
  #held: (() => void)[] = [];
  opened = 0;
  readonly streams = new Set<() => void>();
  /** So many commits of the dispatcher fail. */
  failingCommits = 0;
  readonly dispatcher = new Dispatcher({
    store: { view: () => this.view, decide: async (decide) => this.#commit(decide(this.view)) },
    managers: () => [{ nodeId: 'm', address: 'm:2377' }],
    clock: this.clock,
    random: new SeededRandom(1),
    logger: silentLogger,
    config: DISPATCHER_DEFAULTS,
  });
  worker!: Worker;
  session!: Session;
  executor!: SimulatedExecutor;
  removed = '';

  constructor() {
    this.view.commit([{ kind: 'create', table: 'node', object: Node.create({ id: NODE }) }]);
    const spec = ServiceSpec.create({ name: 'web' });
    this.view.commit([
      { kind: 'create', table: 'revision', object: Revision.create({ id: 'r', serviceId: 's', number: 1, spec }) },
    ]);
    this.#commitSecret();
    this.view.onCommit((commit, view) => this.dispatcher.observe(commit, view));
    this.dispatcher.start(this.view);
  }

  /** Revision 2 refers to it. */
  #commitSecret(): void {
    const secrets = [SecretReference.create({ secretId: 'secret', secretName: 'db', number: 1 })];
    const container = ContainerSpec.create({ image: 'x', secrets });
    const spec = ServiceSpec.create({ name: 'web', task: TaskSpec.create({ container }) });
    const version = SecretVersion.create({ id: 'v', secretId: 'secret', number: 1, data: Buffer.from(SECRET) });
    const versions = [PayloadVersion.create({ number: 1 })];
    this.view.commit([
      { kind: 'create', table: 'secret', object: Secret.create({ id: 'secret', versions }) },
      { kind: 'create', table: 'secretVersion', object: version },
      { kind: 'create', table: 'revision', object: Revision.create({ id: 'r2', serviceId: 's', number: 2, spec }) },
    ]);
  }

  #commit(changes: readonly Change[]): void {
    if (this.failingCommits > 0) {
      this.failingCommits--;
      throw new SwarmError({ code: 'deadline', reason: 'timeout', message: 'the log is slow' });
    }
    this.view.commit(changes);
  }

  async startAgent(): Promise<void> {
    this.executor = new SimulatedExecutor(this.clock, this.host);
    this.worker = new Worker({
      executor: this.executor,
      database: this.database,
      clock: this.clock,
      random: new SeededRandom(2),
      logger: silentLogger,
      config: WORKER_DEFAULTS,
      node: { id: NODE, hostname: 'host' },
      onStatus: (taskId, status) => this.session.report(taskId, status),
      onFailure: (error) => assert.fail(error),
    });
    this.session = new Session({
      dial: () => this.#dial(),
      managers: () => ['m:2377'],
      addressOf: (manager) => manager.address,
      onEstablished: () => {},
      describe: async () => NodeDescription.create({ hostname: 'host' }),
      advertiseAddress: () => '10.0.0.1',
      statuses: () => this.worker.statuses(),
      apply: (step) => this.worker.apply(step),
      onManagers: () => {},
      onNode: () => {},
      onNetworks: () => {},
      onRemoved: (message) => {
        this.removed = message;
      },
      clock: this.clock,
      random: new SeededRandom(3),
      logger: silentLogger,
      config: SESSION_DEFAULTS,
    });
    await this.worker.start();
    this.session.start();
    await this.pass(10);
  }

  /** The process dies: containers and database stay. */
  async killAgent(): Promise<void> {
    await Promise.all([this.worker.close(), this.#cutAndClose()]);
  }

  async #cutAndClose(): Promise<void> {
    for (const cut of [...this.streams]) cut();
    await this.session.close();
  }

  cutLink(): void {
    this.linkUp = false;
  }

  healLink(): void {
    this.linkUp = true;
    const held = this.#held;
    this.#held = [];
    for (const deliver of held) deliver();
  }

  #carry(deliver: () => void): void {
    if (this.linkUp) deliver();
    else this.#held.push(deliver);
  }

  #dial(): DispatcherStream {
    this.opened++;
    const queue: SessionResponse[] = [];
    let wake = (): void => {};
    let ended = false;
    let session: DispatcherSession | undefined;
    const end = (): void => {
      ended = true;
      if (session !== undefined) this.dispatcher.closed(session);
      this.streams.delete(end);
      wake();
    };
    this.streams.add(end);
    const receive = (request: SessionRequest): void => {
      if (ended) return;
      if (request.message?.kind === 'hello') {
        const output = {
          send: (message: SessionResponse) =>
            this.#carry(() => {
              queue.push(message);
              wake();
            }),
          end: () => {
            ended = true;
            wake();
          },
        };
        session = this.dispatcher.open(NODE, request.message.value, '10.0.0.1:1', output);
      } else if (session !== undefined) this.dispatcher.receive(session, request);
    };
    const responses = (async function* () {
      for (;;) {
        const message = queue.shift();
        if (message !== undefined) yield message;
        else if (ended) return;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    })();
    return { send: (request) => this.#carry(() => receive(request)), responses, close: end };
  }

  async pass(ms: number): Promise<void> {
    await settle();
    for (let left = ms; left > 0; left -= 5) {
      this.clock.advance(Math.min(5, left));
      await settle();
    }
  }

  assign(id: string, desiredState: TaskState = TaskState.RUNNING, revision = 1): void {
    const status = TaskStatus.create({ state: TaskState.ASSIGNED });
    const task = Task.create({ id, serviceId: 's', revision, slot: 1, nodeId: NODE, desiredState, status });
    this.view.commit([{ kind: 'create', table: 'task', object: task }]);
  }

  /** Lets time pass in the smallest steps until the agent has brought the task there. */
  async untilState(id: string, state: TaskState): Promise<void> {
    for (let ms = 0; ms < 1000; ms++) {
      if ((this.worker.status(id)?.state ?? TaskState.NEW) >= state) break;
      this.clock.advance(1);
      await settle();
    }
    assert.equal(this.worker.status(id)?.state, state);
  }

  desire(id: string, desiredState: TaskState): void {
    const task = this.view.get('task', id);
    assert.ok(task);
    this.view.commit([{ kind: 'update', table: 'task', object: { ...task, desiredState } }]);
  }

  state(id: string): string {
    const state = this.view.get('task', id)?.status?.state;
    return Object.entries(TaskState).find(([, value]) => value === state)?.[0] ?? 'none';
  }

  nodeState(): NodeState | undefined {
    return this.view.get('node', NODE)?.status?.state;
  }
}

describe('session between agent and dispatcher', () => {
  it('an assigned task runs and its states arrive; a shutdown stops it; a removal forgets it', async () => {
    const world = new World();
    await world.startAgent();
    assert.equal(world.nodeState(), NodeState.READY);
    world.assign('t1');
    await world.pass(40);
    assert.equal(world.state('t1'), 'RUNNING');
    world.desire('t1', TaskState.SHUTDOWN);
    await world.pass(40);
    assert.equal(world.state('t1'), 'SHUTDOWN');
    const task = world.view.get('task', 't1');
    assert.ok(task);
    world.view.commit([{ kind: 'remove', table: 'task', object: task }]);
    await world.pass(40);
    assert.equal(world.host.containers.size, 0);
    const stored = await world.database.load();
    assert.deepEqual([stored.tasks, stored.revisions], [[], []]);
    await world.killAgent();
  });

  it('a container that ends while the agent is dead is reported when it is back', async () => {
    const world = new World();
    await world.startAgent();
    world.assign('t1');
    world.assign('t2');
    await world.pass(40);
    await world.killAgent();
    new SimulatedExecutor(world.clock, world.host).end('t1', 3);
    await world.startAgent();
    await world.pass(40);
    assert.equal(world.state('t1'), 'FAILED');
    assert.equal(world.state('t2'), 'RUNNING');
    assert.equal(world.view.get('task', 't1')?.status?.container?.exitCode, 3);
    await world.killAgent();
  });

  it('a secret is in memory as long as a task needs it; a task that begins without a manager waits for it', async () => {
    const world = new World();
    await world.startAgent();
    world.assign('t1', TaskState.RUNNING, 2);
    // It is being prepared, which takes a millisecond.
    await world.untilState('t1', TaskState.PREPARING);
    await world.killAgent();
    const stored = JSON.stringify(await world.database.load(), (_key, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString() : value,
    );
    assert.ok(stored.includes('"secretName":"db"') && !stored.includes(SECRET), stored);
    world.cutLink();
    await world.startAgent();
    await world.pass(1000);
    assert.match(world.worker.status('t1')?.message ?? '', /^waiting for secret db \(version 1\): no manager/);
    world.healLink();
    await world.pass(8000);
    assert.equal(world.state('t1'), 'RUNNING');
    const [reference] = payloadReferences(world.worker.assignments()[0]?.spec ?? ServiceSpec.create());
    assert.ok(reference !== undefined);
    assert.equal(Buffer.from(world.executor.payloads.get(reference)?.data ?? []).toString(), SECRET);
    world.desire('t1', TaskState.SHUTDOWN);
    await world.pass(40);
    assert.equal(world.state('t1'), 'SHUTDOWN');
    assert.equal(world.executor.payloads.get(reference), undefined);
    await world.killAgent();
  });

  it('a cut of 3 s changes nothing; one of 6 s makes the node DOWN until it is back, with its tasks unharmed', async () => {
    const world = new World();
    await world.startAgent();
    world.assign('t1');
    await world.pass(40);
    world.cutLink();
    await world.pass(3000);
    assert.equal(world.nodeState(), NodeState.READY);
    world.healLink();
    await world.pass(3000);
    assert.equal(world.nodeState(), NodeState.READY);
    world.cutLink();
    await world.pass(6500);
    assert.equal(world.nodeState(), NodeState.DOWN);
    world.healLink();
    await world.pass(8000);
    assert.equal(world.nodeState(), NodeState.READY);
    assert.equal(world.state('t1'), 'RUNNING');
    await world.killAgent();
  });

  it('what the manager could not write is sent again', async () => {
    const world = new World();
    await world.startAgent();
    world.assign('t1');
    world.failingCommits = 2;
    await world.pass(40);
    await world.pass(2000);
    assert.equal(world.failingCommits, 0);
    assert.equal(world.state('t1'), 'RUNNING');
    assert.equal(world.nodeState(), NodeState.READY);
    await world.killAgent();
  });

  it('a node whose loss could not be written is found lost once more', async () => {
    const world = new World();
    await world.startAgent();
    await world.pass(1000);
    world.cutLink();
    await world.pass(3000);
    world.failingCommits = 1;
    await world.pass(4000);
    assert.deepEqual([world.failingCommits, world.nodeState()], [0, NodeState.READY]);
    await world.pass(5000);
    assert.equal(world.nodeState(), NodeState.DOWN);
    await world.killAgent();
  });

  it('what ends during a cut is reported after it', async () => {
    const world = new World();
    await world.startAgent();
    world.assign('t1');
    await world.pass(40);
    world.cutLink();
    world.executor.end('t1', 1);
    await world.pass(2000);
    assert.equal(world.state('t1'), 'RUNNING');
    world.healLink();
    await world.pass(8000);
    assert.equal(world.state('t1'), 'FAILED');
    await world.killAgent();
  });

  it('a full set of many tasks comes in parts and is applied whole', async () => {
    const world = new World();
    for (let index = 0; index < DISPATCHER_DEFAULTS.assignmentChangesMax * 2 + 7; index++) world.assign(`t${index}`);
    await world.startAgent();
    await world.pass(100);
    const running = [...world.view.all('task')].filter((task) => task.status?.state === TaskState.RUNNING).length;
    assert.equal(running, DISPATCHER_DEFAULTS.assignmentChangesMax * 2 + 7);
    await world.killAgent();
  });

  for (const failingCommits of [0, 1])
    it(`of 1,200 tasks that ended while it was away none serves again, ${failingCommits} commits failing`, async () => {
      const world = new World();
      await world.startAgent();
      const ids = Array.from({ length: 1200 }, (_, index) => `t${index}`);
      for (const id of ids) world.assign(id);
      await world.pass(200);
      await world.killAgent();
      for (const id of ids) world.executor.end(id, 1);
      await world.pass(6500);
      assert.equal(world.nodeState(), NodeState.DOWN);
      let serving = 0;
      world.view.onCommit((_commit, view) => {
        if (world.nodeState() !== NodeState.READY) return;
        const running = [...view.all('task')].filter(({ status }) => status?.state === TaskState.RUNNING);
        serving = Math.max(serving, running.length);
      });
      world.failingCommits = failingCommits;
      await world.startAgent();
      await world.pass(1000);
      assert.equal(world.nodeState(), NodeState.READY);
      assert.equal(serving, 0);
      await world.killAgent();
    }).timeout(10_000);

  it('moby#41289: 500 dead tasks of a worker keep it from nothing, and go when they are taken from it', async () => {
    const world = new World();
    await world.startAgent();
    const ids = Array.from({ length: 500 }, (_, index) => `dead${index}`);
    for (const id of ids) world.assign(id);
    await world.pass(100);
    let commits = 0;
    world.view.onCommit(() => commits++);
    for (const id of ids) world.executor.end(id, 1);
    await world.pass(100);
    for (const id of ids) assert.equal(world.state(id), 'FAILED');
    assert.ok(commits <= 10, `${commits} commits`);
    for (const id of ids) world.desire(id, TaskState.SHUTDOWN);
    await world.killAgent();
    commits = 0;
    await world.startAgent();
    world.assign('living');
    await world.pass(10_000);
    assert.equal(world.state('living'), 'RUNNING');
    assert.equal(world.nodeState(), NodeState.READY);
    assert.equal(world.opened, 2, 'one session for each life of the agent');
    assert.ok(commits <= 20, `${commits} commits: what is known is not written again`);
    for (const id of ids) {
      const object = world.view.get('task', id);
      assert.ok(object);
      world.view.commit([{ kind: 'remove', table: 'task', object }]);
    }
    await world.pass(500);
    assert.deepEqual(
      world.worker.statuses().map(({ taskId }) => taskId),
      ['living'],
    );
    await world.killAgent();
  });

  it('a removed node is told so and does not come back', async () => {
    const world = new World();
    await world.startAgent();
    const node = world.view.get('node', NODE);
    assert.ok(node);
    world.view.commit([{ kind: 'remove', table: 'node', object: node }]);
    await world.pass(20);
    assert.match(world.removed, /was removed/);
    const opened = world.opened;
    await world.pass(5000);
    assert.equal(world.opened, opened);
    await world.killAgent();
  });

  it('a node says goodbye: no heartbeat is waited for', async () => {
    const world = new World();
    await world.startAgent();
    await world.session.leave(false, 'the host is going down');
    await world.pass(10);
    assert.equal(world.nodeState(), NodeState.DISCONNECTED);
    await world.worker.close();
  });

  it('a new leader waits longer for nodes that were ready', async () => {
    const world = new World();
    await world.startAgent();
    await world.killAgent();
    world.dispatcher.stop('test');
    world.dispatcher.start(world.view);
    await world.pass(6000);
    assert.equal(world.nodeState(), NodeState.UNKNOWN);
    await world.pass(10_000);
    assert.equal(world.nodeState(), NodeState.DOWN);
    world.dispatcher.stop('test');
  });
});
