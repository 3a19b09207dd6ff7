/** Goal: each filter, strategy and reason by itself. Method: a store, the scheduler alone, tasks that are pending. */
import assert from 'node:assert/strict';
import {
  type Cluster,
  Network,
  type Node,
  NodeDataPath,
  NodeDescription,
  NodeState,
  type Task,
  TaskState,
} from '#gen/swarm/v1/objects.ts';
import {
  EndpointSpec,
  NetworkAttachmentSpec,
  NetworkConfig,
  NetworkSpec,
  NodeAvailability,
  OrchestrationConfig,
  PlacementStrategy,
  PortProtocol,
} from '#gen/swarm/v1/specs.ts';
import { DEFAULT_SCHEDULER_CONFIG, Scheduler } from '#manager/scheduler/index.ts';
import { commitGroups, drain, MemoryStore } from '#test/manager/loops/memory-store.ts';
import {
  cluster,
  create,
  GIB,
  hostPort,
  inState,
  type NodeOptions,
  node,
  pendingTask,
  remove,
  revision,
  type SpecOptions,
  service,
  spec,
  T0,
  update,
} from '#test/manager/loops/objects.ts';

class Bench {
  readonly store = new MemoryStore();
  readonly loop = new Scheduler();
  nowMs = T0;
  #tasks = 0;

  node(id: string, options: NodeOptions = {}): void {
    this.commit([create('node', node(id, options))]);
  }

  service(id: string, options: SpecOptions = {}, number = 1): void {
    const declared = spec({ name: id, ...options });
    if (number === 1) this.commit([create('service', service(id, declared))]);
    this.commit([create('revision', revision(id, number, declared))]);
  }

  /** Pending tasks of the service. */
  tasks(serviceId: string, count: number, fields: Partial<Task> = {}): readonly string[] {
    const ids = Array.from({ length: count }, () => `task${String(++this.#tasks).padStart(4, '0')}`);
    this.commit(ids.map((id) => create('task', pendingTask(id, serviceId, fields))));
    return ids;
  }

  commit(changes: Parameters<MemoryStore['commit']>[0]): void {
    assert.equal(commitGroups(this.store, [this.loop], [changes], this.nowMs), 0, 'refused');
  }

  editTask(id: string, edit: (task: Task) => Task): void {
    this.commit([update('task', edit(this.task(id)))]);
  }

  editNode(id: string, edit: (node: Node) => Partial<Node>): void {
    const current = this.store.get('node', id) as Node;
    this.commit([update('node', { ...current, ...edit(current) })]);
  }

  run(): number {
    return drain(this.store, this.loop, [this.loop], this.nowMs);
  }

  task(id: string): Task {
    const task = this.store.get('task', id);
    assert.ok(task !== undefined, id);
    return task;
  }

  nodeOf(id: string): string {
    return this.task(id).nodeId;
  }

  reason(id: string): string {
    return this.task(id).status?.error ?? '';
  }

  spread(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const task of this.store.all('task'))
      if (task.nodeId !== '') counts[task.nodeId] = (counts[task.nodeId] ?? 0) + 1;
    return counts;
  }
}

function bench(nodes: Readonly<Record<string, NodeOptions>>): Bench {
  const made = new Bench();
  for (const [id, options] of Object.entries(nodes)) made.node(id, options);
  return made;
}

describe('scheduler', () => {
  it('assigns with Swarm’s message, clears the reason, and is quiet afterwards', () => {
    const b = bench({ n1: {} });
    b.service('web');
    const [id = ''] = b.tasks('web', 1);
    assert.equal(b.run(), 1);
    const task = b.task(id);
    assert.equal(task.status?.state, TaskState.ASSIGNED);
    assert.equal(task.status?.message, 'scheduler assigned task to node');
    assert.equal(task.status?.error, '');
    assert.deepEqual(b.loop.plan(b.store, b.nowMs), { changes: [], wakeAtMs: undefined });
  });

  it('spreads by tasks of the service first, then by all tasks', () => {
    const b = bench({ n1: {}, n2: {}, n3: {} });
    b.service('a');
    b.service('b');
    b.tasks('a', 3);
    b.run();
    b.tasks('b', 1);
    b.run();
    b.tasks('a', 2);
    b.run();
    const load = Object.values(b.spread()).sort((x, y) => x - y);
    assert.deepEqual(load, [2, 2, 2]);
  });

  it('leaves out nodes that are down, unknown, paused, drained or under pressure, and says so', () => {
    const b = bench({
      down: { state: NodeState.DOWN },
      unknown: { state: NodeState.UNKNOWN },
      full: {},
      paused: {},
      drained: {},
    });
    const setAvailability = (id: string, availability: NodeAvailability) =>
      b.editNode(id, (current) => ({ spec: { ...current.spec, availability } as Node['spec'] }));
    setAvailability('paused', NodeAvailability.PAUSE);
    setAvailability('drained', NodeAvailability.DRAIN);
    b.editNode('full', (current) => ({
      description: NodeDescription.create({
        ...current.description,
        conditions: [{ type: 'disk-pressure', message: '', sinceMs: 1 }],
      }),
    }));
    b.service('web');
    const [id = ''] = b.tasks('web', 1);
    b.run();
    assert.equal(b.nodeOf(id), '');
    assert.equal(
      b.reason(id),
      'no suitable node (4 nodes not available for new tasks; node under pressure (such as disk pressure) on 1 node)',
    );
    setAvailability('paused', NodeAvailability.ACTIVE);
    b.run();
    assert.equal(b.nodeOf(id), 'paused');
  });

  it('keeps reservations free, and gives them back when a task has ended, not when it is told to', () => {
    const b = bench({ n1: { cpus: 2, memoryBytes: 4 * GIB }, n2: { cpus: 1, memoryBytes: 8 * GIB } });
    b.service('big', { cpus: 1, memoryBytes: 3 * GIB });
    const [first = '', second = '', third = ''] = b.tasks('big', 3);
    b.run();
    assert.deepEqual(b.spread(), { n1: 1, n2: 1 });
    assert.equal(b.reason(third), 'no suitable node (insufficient resources on 2 nodes)');
    b.editTask(first, (task) => ({ ...task, desiredState: TaskState.SHUTDOWN }));
    b.run();
    assert.equal(b.nodeOf(third), '');
    const freed = b.nodeOf(first);
    b.editTask(first, (task) => inState(task, TaskState.SHUTDOWN));
    b.run();
    assert.equal(b.nodeOf(third), freed);
    assert.notEqual(b.nodeOf(second), freed);
  });

  it('constraints, platforms and limits per node, each with its reason', () => {
    const b = bench({ n1: { labels: { zone: 'a' } }, n2: { architecture: 'aarch64', labels: { zone: 'b' } } });
    b.service('zoned', { constraints: ['node.labels.zone == a'] });
    b.service('nowhere', { constraints: ['node.labels.zone == c'] });
    b.service('arm', { placement: { platforms: [{ os: 'linux', architecture: 'arm64' }] } });
    b.service('windows', { placement: { platforms: [{ os: 'windows', architecture: '' }] } });
    b.service('two', { maxReplicas: 1 });
    const [zoned = ''] = b.tasks('zoned', 1);
    const [nowhere = ''] = b.tasks('nowhere', 1);
    const [arm = ''] = b.tasks('arm', 1);
    const [windows = ''] = b.tasks('windows', 1);
    const two = b.tasks('two', 3);
    b.run();
    assert.equal(b.nodeOf(zoned), 'n1');
    assert.equal(b.nodeOf(arm), 'n2');
    assert.equal(b.reason(nowhere), 'no suitable node (scheduling constraints not satisfied on 2 nodes)');
    assert.equal(b.reason(windows), 'no suitable node (unsupported platform on 2 nodes)');
    const waiting = two.filter((id) => b.nodeOf(id) === '');
    assert.equal(waiting.length, 1);
    assert.equal(b.reason(waiting[0] ?? ''), 'no suitable node (max replicas per node limit exceeded on 2 nodes)');
  });

  it('tasks of networks go to nodes whose release has them, those of encrypted ones to nodes that can encrypt', () => {
    const bench = new Bench();
    const describe = (id: string, featureLevel: number, dataPath?: Partial<NodeDataPath>): void =>
      bench.editNode(id, ({ description }) => ({
        description: NodeDescription.create({
          ...description,
          featureLevel,
          ...(dataPath === undefined ? {} : { dataPath: NodeDataPath.create(dataPath) }),
        }),
      }));
    const network = (id: string, driverOptions: Record<string, string>): void =>
      bench.commit([create('network', Network.create({ id, spec: NetworkSpec.create({ name: id, driverOptions }) }))]);
    const attached = (id: string): SpecOptions => ({
      task: { networks: [NetworkAttachmentSpec.create({ network: id })] },
    });
    bench.commit([create('cluster', cluster())]);
    network('plain', {});
    network('secret', { encrypted: '' });
    bench.node('old');
    describe('old', 2);
    bench.service('a', attached('plain'));
    const [a = ''] = bench.tasks('a', 1);
    bench.run();
    assert.equal(bench.reason(a), 'no suitable node (networks not supported by the release on 1 node)');
    bench.node('open');
    describe('open', 3, { encryptionProblem: 'no WireGuard' });
    bench.run();
    assert.equal(bench.nodeOf(a), 'open');
    bench.service('b', attached('secret'));
    const [b = ''] = bench.tasks('b', 1);
    bench.run();
    assert.match(bench.reason(b), /network encryption not available on 1 node/);
    bench.node('sealed');
    describe('sealed', 3, { wireguardKeys: [new Uint8Array(32)] });
    bench.run();
    assert.equal(bench.nodeOf(b), 'sealed');
    const everything = { network: NetworkConfig.create({ encryptDataPath: true }) };
    const current = bench.store.cluster() as Cluster;
    bench.commit([update('cluster', { ...current, spec: { ...current.spec, ...everything } as Cluster['spec'] })]);
    const more = bench.tasks('a', 2);
    bench.run();
    assert.deepEqual(
      more.map((id) => bench.nodeOf(id)),
      ['sealed', 'sealed'],
    );
  });

  it('a host port is given once per node, protocol and address', () => {
    const b = bench({ n1: {} });
    const ports = (...list: ReturnType<typeof hostPort>[]) => ({ endpoint: EndpointSpec.create({ ports: list }) });
    b.service('tcp', ports(hostPort(8080)));
    b.service('udp', ports(hostPort(8080, { protocol: PortProtocol.UDP })));
    b.service('ip1', ports(hostPort(9090, { hostIp: '10.0.0.1' })));
    b.service('ip2', ports(hostPort(9090, { hostIp: '10.0.0.2' })));
    b.service('any', ports(hostPort(9090, { hostIp: '0.0.0.0' })));
    const [tcp1 = '', tcp2 = ''] = b.tasks('tcp', 2);
    const [udp = ''] = b.tasks('udp', 1);
    const [ip1 = ''] = b.tasks('ip1', 1);
    const [ip2 = ''] = b.tasks('ip2', 1);
    b.run();
    const [any = ''] = b.tasks('any', 1);
    b.run();
    assert.deepEqual([b.nodeOf(udp), b.nodeOf(ip1), b.nodeOf(ip2)], ['n1', 'n1', 'n1']);
    const waiting = b.nodeOf(tcp1) === '' ? tcp1 : tcp2;
    const placed = waiting === tcp1 ? tcp2 : tcp1;
    assert.equal(b.reason(waiting), 'no suitable node (host-mode port already in use on 1 node)');
    assert.equal(b.nodeOf(any), '');
    b.editTask(placed, (task) => inState(task, TaskState.FAILED));
    b.run();
    assert.equal(b.nodeOf(waiting), 'n1');
  });

  it('an open host port gets the lowest free number, beside fixed ones and those that agents report', () => {
    const b = bench({ n1: {} });
    b.service('fixed', { endpoint: EndpointSpec.create({ ports: [hostPort(30_001)] }) });
    b.service('open', { endpoint: EndpointSpec.create({ ports: [hostPort(0), hostPort(0, { targetPort: 81 })] }) });
    b.tasks('fixed', 1);
    b.run();
    const [first = ''] = b.tasks('open', 1);
    b.run();
    const numbers = (id: string) => b.task(id).hostPorts.map((port) => port.publishedPort);
    assert.deepEqual(numbers(first), [30_000, 30_002]);
    b.editTask(first, (task) => inState(task, TaskState.RUNNING, { ports: [hostPort(30_003)] }));
    const [second = ''] = b.tasks('open', 1);
    b.run();
    assert.deepEqual(numbers(second), [30_004, 30_005]);
  });

  it('spreads over the values of preferences, level by level; a missing label is a value of its own', () => {
    const nodes: Record<string, NodeOptions> = {};
    for (let i = 0; i < 6; i++) nodes[`a${i}`] = { labels: { zone: 'a', rack: `r${i % 2}` } };
    nodes['b0'] = { labels: { zone: 'b', rack: 'r0' } };
    nodes['none'] = {};
    const b = bench(nodes);
    b.service('web', { spread: ['node.labels.zone', 'node.labels.rack'] });
    b.tasks('web', 12);
    b.run();
    const counts = b.spread();
    const sum = (...ids: string[]) => ids.reduce((total, id) => total + (counts[id] ?? 0), 0);
    assert.equal(counts['b0'], 4);
    assert.equal(counts['none'], 4);
    assert.equal(sum('a0', 'a2', 'a4'), 2);
    assert.equal(sum('a1', 'a3', 'a5'), 2);
  });

  it('a branch that is full leaves its share to the others', () => {
    const b = bench({ a: { labels: { zone: 'a' }, cpus: 1 }, b: { labels: { zone: 'b' }, cpus: 8 } });
    b.service('web', { spread: ['node.labels.zone'], cpus: 1 });
    b.tasks('web', 6);
    b.run();
    assert.deepEqual(b.spread(), { a: 1, b: 5 });
  });

  it('binpack fills the fullest node first, by the service or for the whole cluster', () => {
    const b = bench({ n1: { cpus: 4 }, n2: { cpus: 4 }, n3: { cpus: 4 } });
    b.service('packed', { cpus: 1, placement: { strategy: PlacementStrategy.BINPACK } });
    b.tasks('packed', 6);
    b.run();
    assert.deepEqual(
      Object.values(b.spread()).sort((x, y) => x - y),
      [2, 4],
    );

    const c = bench({ n1: { cpus: 4 }, n2: { cpus: 4 } });
    c.commit([create('cluster', cluster())]);
    c.service('web', { cpus: 1 });
    const current = c.store.cluster() as Cluster;
    const orchestration = OrchestrationConfig.create({ strategy: PlacementStrategy.BINPACK });
    c.commit([update('cluster', { ...current, spec: { ...current.spec, orchestration } as Cluster['spec'] })]);
    c.tasks('web', 4);
    c.run();
    assert.deepEqual(Object.values(c.spread()), [4]);
  });

  it('a node on which the revision failed five times in five minutes is taken last', () => {
    const b = bench({ n1: {}, n2: {} });
    b.service('web');
    b.service('other');
    b.tasks('other', 1);
    b.run();
    const busy = Object.keys(b.spread())[0] ?? '';
    const empty = busy === 'n1' ? 'n2' : 'n1';
    const failures = Array.from({ length: 5 }, (_, i) => ({ timeMs: T0 - 60_000 + i, nodeId: empty }));
    const [faulty = ''] = b.tasks('web', 1, { failures });
    b.run();
    assert.equal(b.nodeOf(faulty), busy);
    b.commit([remove('task', b.task(faulty))]);
    const [old = ''] = b.tasks('web', 1, { failures: failures.map((one) => ({ ...one, timeMs: T0 - 301_000 })) });
    b.run();
    assert.equal(b.nodeOf(old), empty);
  });

  it('a task that comes with its node is only checked there, again when the node changes', () => {
    const b = bench({ n1: { cpus: 1 }, n2: { cpus: 8 } });
    b.service('agent', { global: true, cpus: 2 });
    const [id = ''] = b.tasks('agent', 1, { nodeId: 'n1', slot: 0 });
    b.run();
    assert.equal(b.task(id).status?.state, TaskState.PENDING);
    assert.equal(b.reason(id), 'no suitable node (insufficient resources on 1 node)');
    assert.equal(b.run(), 0);
    b.editNode('n1', (current) => ({
      description: {
        ...current.description,
        resources: { cpuNanos: 4e9, memoryBytes: GIB, pids: 0 },
      } as Node['description'],
    }));
    b.run();
    assert.equal(b.task(id).status?.state, TaskState.ASSIGNED);
    assert.equal(b.nodeOf(id), 'n1');
  });

  it('tasks that are not wanted any more get no node', () => {
    const b = bench({ n1: {} });
    b.service('web');
    const [id = ''] = b.tasks('web', 1, { desiredState: TaskState.REMOVE });
    assert.equal(b.run(), 0);
    assert.equal(b.nodeOf(id), '');
  });

  it('without nodes says so; a node that joins takes what waits', () => {
    const b = bench({});
    b.service('web');
    const ids = b.tasks('web', 3);
    b.run();
    assert.deepEqual(
      ids.map((id) => b.reason(id)),
      Array.from({ length: 3 }, () => 'no suitable node'),
    );
    b.node('n1');
    b.run();
    assert.deepEqual(b.spread(), { n1: 3 });
  });

  it('rewrites a reason only when it changed, and no more often than the interval allows', () => {
    const b = bench({ n1: { cpus: 1 } });
    b.service('big', { cpus: 4 });
    const [id = ''] = b.tasks('big', 1);
    assert.equal(b.run(), 1);
    b.editNode('n1', (current) => ({ spec: { ...current.spec, labels: { a: 'b' } } as Node['spec'] }));
    assert.equal(b.run(), 0);
    b.node('n2', { cpus: 2 });
    assert.equal(b.run(), 0);
    const { wakeAtMs } = b.loop.plan(b.store, b.nowMs);
    const { reasonIntervalMs, reasonIntervalPerTaskMs } = DEFAULT_SCHEDULER_CONFIG;
    assert.equal(wakeAtMs, T0 + reasonIntervalMs + reasonIntervalPerTaskMs);
    b.nowMs = wakeAtMs ?? 0;
    assert.equal(b.run(), 1);
    assert.equal(b.reason(id), 'no suitable node (insufficient resources on 2 nodes)');
  });

  it('decisions that were refused are made again, on what is true then', () => {
    const b = bench({ n1: { cpus: 1 }, n2: { cpus: 1 } });
    b.service('web', { cpus: 1 });
    const [first = '', second = ''] = b.tasks('web', 2);
    const plan = b.loop.plan(b.store, b.nowMs);
    assert.equal(plan.changes.length, 2);
    b.editTask(first, (task) => ({ ...task, desiredState: TaskState.REMOVE }));
    const refused = commitGroups(b.store, [b.loop], plan.changes, b.nowMs);
    assert.equal(refused, 1);
    const [third = ''] = b.tasks('web', 1);
    b.run();
    assert.equal(b.nodeOf(first), '');
    assert.deepEqual([b.nodeOf(second), b.nodeOf(third)].sort(), ['n1', 'n2']);
  });

  it('keeps its slices short: a large group is placed in several, a small one before it', () => {
    const b = bench({ n1: {}, n2: {} });
    b.service('large');
    b.service('small');
    b.tasks('large', 3 * DEFAULT_SCHEDULER_CONFIG.placementsPerSlice);
    const [small = ''] = b.tasks('small', 1);
    const plan = b.loop.plan(b.store, b.nowMs);
    assert.equal(plan.more, true);
    assert.equal(plan.changes.length, DEFAULT_SCHEDULER_CONFIG.placementsPerSlice);
    assert.equal(plan.changes[0]?.[0]?.object.id, small);
    commitGroups(b.store, [b.loop], plan.changes, b.nowMs);
    b.run();
    assert.equal([...b.store.all('task')].filter((task) => task.nodeId === '').length, 0);
  });
});
