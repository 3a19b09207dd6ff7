/**
 * Goal: whoever may have a container of `swarm run` has it, on its own node and on attachable networks alone; every refusal
 * says why and what to do. Method: the real API on a plain store; every rule has an example against it.
 */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { newId } from '#common/ids.ts';
import { LIMITS } from '#common/limits.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { RunContainerRequest } from '#gen/swarm/v1/containers.ts';
import type { TaskView } from '#gen/swarm/v1/control.ts';
import {
  Cluster,
  Network,
  Node,
  NodeDescription,
  NodeState,
  NodeStatus,
  Service,
  Task,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import {
  ClusterSpec,
  ContainerSpec,
  EndpointSpec,
  NetworkAttachmentSpec,
  NetworkSpec,
  NodeAvailability,
  NodeSpec,
  PortConfig,
  PublishMode,
  RestartCondition,
  ServiceSpec,
  TaskSpec,
} from '#gen/swarm/v1/specs.ts';
import { ControlApi, type RunCaller } from '#manager/control/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const WORKER: RunCaller = { author: 'w1', nodeId: 'w1', seesAll: false };
const OTHER: RunCaller = { author: 'w2', nodeId: 'w2', seesAll: false };
const MANAGER: RunCaller = { author: 'local', nodeId: 'm1', seesAll: true };
const OPERATOR = { author: 'local' };

function network(id: string, name: string, fields: Partial<NetworkSpec> = {}): Network {
  return Network.create({ id, spec: NetworkSpec.create({ name, ...fields }) });
}

class Swarm {
  readonly view = new MemoryView();
  readonly api: ControlApi;
  readonly #random = new SeededRandom(7);

  constructor(featureLevel = 3) {
    const cluster = Cluster.create({ id: 'c', spec: ClusterSpec.create(), featureLevel });
    this.view.commit([
      { kind: 'create', table: 'cluster', object: cluster },
      { kind: 'create', table: 'network', object: network('n1', 'crew', { attachable: true }) },
      { kind: 'create', table: 'network', object: network('n2', 'closed') },
    ]);
    for (const id of ['m1', 'w1', 'w2']) this.node(id);
    this.api = new ControlApi({
      store: { view: () => this.view, decide: async (decide) => this.view.commit(decide(this.view)) },
      selfNodeId: () => 'm1',
      members: () => [],
      random: this.#random,
      images: { resolve: async () => undefined },
      tokens: () => '',
      now: () => 1,
      logger: silentLogger,
    });
  }

  node(
    id: string,
    fields: { readonly state?: NodeState; readonly level?: number; readonly spec?: NodeSpec } = {},
  ): void {
    const known = this.view.get('node', id);
    const description = NodeDescription.create({ hostname: `host-${id}`, featureLevel: fields.level ?? 3 });
    const status = NodeStatus.create({ state: fields.state ?? NodeState.READY });
    const object = Node.create({ ...known, id, description, status, spec: fields.spec ?? NodeSpec.create() });
    this.view.commit([{ kind: known === undefined ? 'create' : 'update', table: 'node', object }]);
  }

  async run(name: string, fields: RunFields = {}, caller = WORKER): Promise<Task> {
    const { container } = await this.api.runContainer(caller, request(name, fields));
    assert.ok(container?.task);
    return container.task;
  }

  setState(task: Task, state: TaskState): void {
    const current = this.view.get('task', task.id);
    assert.ok(current);
    const object = { ...current, status: TaskStatus.create({ state }) };
    this.view.commit([{ kind: 'update', table: 'task', object }]);
  }

  state(task: Task): TaskState | undefined {
    return this.view.get('task', task.id)?.desiredState;
  }

  async listed(caller: RunCaller): Promise<readonly TaskView[]> {
    const all: TaskView[] = [];
    for await (const page of this.api.listContainers(caller)) all.push(...page.containers);
    return all;
  }

  newId(): string {
    return newId(this.#random);
  }
}

interface RunFields {
  readonly id?: string;
  readonly networks?: readonly Partial<NetworkAttachmentSpec>[];
  readonly ports?: readonly Partial<PortConfig>[];
  readonly spec?: Partial<ServiceSpec>;
  readonly autoRemove?: boolean;
}

function request(name: string, { id = '', networks = [], ports = [], spec = {}, autoRemove = false }: RunFields) {
  const task = TaskSpec.create({
    container: ContainerSpec.create({ image: 'busybox:1', labels: { a: 'b' }, registryAuth: 'secret' }),
    networks: networks.map((one) => NetworkAttachmentSpec.create(one)),
    restart: { condition: RestartCondition.ANY, delayMs: undefined, maxAttempts: 3, windowMs: 0 },
  });
  const endpoint = EndpointSpec.create({ ports: ports.map((port) => PortConfig.create(port)) });
  return RunContainerRequest.create({ id, autoRemove, spec: ServiceSpec.create({ name, task, endpoint, ...spec }) });
}

async function refused(call: Promise<unknown>, message: RegExp, hint: RegExp = /./): Promise<SwarmError> {
  const error = await call.then(
    () => assert.fail('it was not refused'),
    (thrown: unknown) => SwarmError.from(thrown),
  );
  assert.match(error.message, message);
  assert.match(error.hint ?? '', hint);
  return error;
}

describe('control API: containers of swarm run', () => {
  it('are a task of no service on the caller’s node, with a revision of its own', async () => {
    const swarm = new Swarm();
    const task = await swarm.run('relay', { networks: [{ network: 'crew', aliases: ['smtp'] }], autoRemove: true });
    assert.deepEqual(
      [task.serviceId, task.nodeId, task.desiredState, task.status?.state, task.slot],
      ['', 'w1', TaskState.RUNNING, TaskState.NEW, 0],
    );
    assert.deepEqual(task.oneOff, { name: 'relay', autoRemove: true, createdBy: 'w1' });
    const { spec } = swarm.view.revision('', task.revision) ?? {};
    assert.equal(spec?.task?.networks[0]?.network, 'n1', 'names became ids');
    assert.equal(spec?.task?.restart?.condition, RestartCondition.NONE);
    const { container } = await swarm.api.getContainer(WORKER, { reference: 'RELAY' });
    assert.equal(container?.image, 'busybox:1');
    assert.equal(container?.spec?.container?.registryAuth, '', 'no credentials come back');
    assert.equal((await swarm.api.getTask(OPERATOR, { reference: 'relay' })).task?.task?.id, task.id);
  });

  it('join attachable networks only, and those that every node has', async () => {
    const swarm = new Swarm();
    await refused(
      swarm.run('a', { networks: [{ network: 'closed' }] }),
      /network closed is not attachable/,
      /--attachable/,
    );
    await refused(swarm.run('a', { networks: [{ network: 'crew' }, { network: 'n2' }] }, MANAGER), /not attachable/);
    await refused(swarm.run('a', { networks: [{ network: 'none-such' }] }), /none-such not found/);
    await swarm.run('a', { networks: [{ network: 'host' }] });
    await swarm.run('b');
    assert.equal(swarm.view.count('task'), 2);
  });

  it('need a node that takes them', async () => {
    const swarm = new Swarm();
    const { DRAIN, PAUSE } = NodeAvailability;
    swarm.node('w1', { spec: NodeSpec.create({ availability: DRAIN }) });
    await refused(swarm.run('a'), /host-w1 takes no new containers: it is drained/, /availability active/);
    swarm.node('w1', { spec: NodeSpec.create({ availability: PAUSE }) });
    await refused(swarm.run('a'), /it is paused/);
    swarm.node('w1', { state: NodeState.UNKNOWN });
    await refused(swarm.run('a'), /host-w1 is not ready/);
    swarm.node('w1', { level: 2 });
    assert.equal((await refused(swarm.run('a'), /older release/)).reason, 'feature-level');
    await refused(swarm.run('a', {}, { ...WORKER, nodeId: 'gone' }), /not in the swarm/, /^/);
    assert.equal((await refused(new Swarm(2).run('a'), /needs feature level 3/)).reason, 'feature-level');
  });

  it('have a name of their own, are made once for an id, and are so many', async () => {
    const swarm = new Swarm();
    const id = swarm.newId();
    const first = await swarm.run('a', { id });
    assert.equal((await swarm.run('a', { id })).id, first.id);
    assert.equal(swarm.view.count('revision'), 1, 'a call that was repeated made nothing');
    await refused(swarm.run('b', { id }), /there is a task .* already/);
    await refused(swarm.run('a', { id }, OTHER), /there is a task .* already/);
    await refused(swarm.run('c', { id: 'no id' }), /is not an id/);
    await refused(swarm.run('a', {}, OTHER), /the name a is that of container/, /swarm task rm a/);
    await refused(swarm.run('a.b'), /name/);
    const labels = Object.fromEntries(Array.from({ length: 5 }, (_, i) => [`l${i}`, 'x'.repeat(60_000)]));
    await refused(swarm.run('big', { spec: { labels } }), /CONTAINER_SPEC_BYTES/, /--mount/);
    for (let count = 1; count < LIMITS.CONTAINERS_PER_NODE; count++) await swarm.run(`n${count}`);
    await refused(swarm.run('more'), /CONTAINERS_PER_NODE/);
    swarm.setState(first, TaskState.COMPLETE);
    await swarm.run('more');
    await swarm.run('elsewhere', {}, OTHER);
  });

  it('publish on their node, and not by the mesh', async () => {
    const swarm = new Swarm();
    const port = { targetPort: 80, publishedPort: 8080 };
    await refused(
      swarm.run('a', { ports: [port] }),
      /port 8080 cannot be published on all nodes/,
      /swarm service create/,
    );
    await swarm.run('a', { ports: [{ ...port, publishMode: PublishMode.HOST }] });
  });

  it('are a worker’s own business, and every manager’s', async () => {
    const swarm = new Swarm();
    const task = await swarm.run('a');
    for (const reference of ['a', task.id, task.id.slice(0, 5), ''])
      await refused(swarm.api.stopContainer(OTHER, { reference }), /container .*not found/);
    await refused(swarm.api.removeContainer(OTHER, { reference: 'a', force: true }), /not found/);
    await refused(swarm.api.getContainer(OTHER, { reference: 'a' }), /not found/);
    const listed = (caller: RunCaller) => swarm.listed(caller);
    assert.deepEqual(
      [(await listed(OTHER)).length, (await listed(WORKER)).length, (await listed(MANAGER)).length],
      [0, 1, 1],
    );
    await swarm.api.stopContainer(MANAGER, { reference: task.id.slice(0, 8) });
    assert.equal(swarm.state(task), TaskState.SHUTDOWN);
  });

  it('are stopped, and removed when they have ended or by force', async () => {
    const swarm = new Swarm();
    const task = await swarm.run('a');
    swarm.setState(task, TaskState.RUNNING);
    await refused(swarm.api.removeContainer(WORKER, { reference: 'a', force: false }), /a has not ended/, /--force/);
    await swarm.api.stopContainer(WORKER, { reference: 'a' });
    await swarm.api.stopContainer(WORKER, { reference: 'a' });
    await swarm.api.removeContainer(WORKER, { reference: 'a', force: true });
    assert.equal(swarm.state(task), TaskState.REMOVE);
    await swarm.api.stopContainer(WORKER, { reference: 'a' });
    assert.equal(swarm.state(task), TaskState.REMOVE, 'what is to go does not come back');
    const ended = await swarm.run('b');
    swarm.setState(ended, TaskState.FAILED);
    await swarm.api.removeContainer(WORKER, { reference: 'b', force: false });
    assert.equal(swarm.state(ended), TaskState.REMOVE);
  });

  it('are no tasks of services, and those are no containers', async () => {
    const swarm = new Swarm();
    const web = ServiceSpec.create({ name: 'web' });
    swarm.view.commit([
      { kind: 'create', table: 'service', object: Service.create({ id: 's1', spec: web, revision: 1 }) },
      { kind: 'create', table: 'task', object: Task.create({ id: 't1', serviceId: 's1', slot: 1, nodeId: 'w1' }) },
    ]);
    await refused(swarm.api.stopContainer(MANAGER, { reference: 't1' }), /task t1 is of service web/, /swarm service/);
    await refused(swarm.api.removeContainer(WORKER, { reference: 't1', force: true }), /not found/);
    assert.deepEqual(await swarm.listed(WORKER), []);
  });

  it('keep their network, which says who is on it', async () => {
    const swarm = new Swarm();
    const task = await swarm.run('a', { networks: [{ network: 'crew' }] });
    const remove = () => swarm.api.removeNetwork(OPERATOR, { reference: 'crew' });
    await refused(remove(), /network crew is in use by container a/, /swarm task rm --force a/);
    swarm.setState(task, TaskState.COMPLETE);
    await remove();
  });
});
