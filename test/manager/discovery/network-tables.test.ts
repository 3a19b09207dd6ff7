/**
 * Goal: what agents are told of networks is what the store says, whatever order things happened in. Method: random
 * histories of networks, services, tasks and nodes; after each commit an agent that applied every increment, one that
 * starts anew, and a naive derivation from the objects agree.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type NetworkChange, NetworkEndpoint } from '#gen/swarm/v1/networks.ts';
import {
  Cluster,
  Network,
  NetworkAttachment,
  Node,
  NodeDataPath,
  NodeDescription,
  NodeState,
  NodeStatus,
  Revision,
  Service,
  ServiceEndpoint,
  Task,
  TaskHealth,
  TaskState,
  TaskStatus,
  VirtualAddress,
} from '#gen/swarm/v1/objects.ts';
import {
  ContainerSpec,
  IpamSubnet,
  NetworkAttachmentSpec,
  NetworkSpec,
  PortConfig,
  PublishMode,
  ServiceSpec,
  TaskSpec,
} from '#gen/swarm/v1/specs.ts';
import { NetworkTables } from '#manager/discovery/index.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

/** An agent's copy of one table. */
type Copy = Map<string, string>;

function keyOf({ item }: NetworkChange): string {
  switch (item?.kind) {
    case 'peer':
      return `peer ${item.value.nodeId}`;
    case 'service':
      return `service ${item.value.serviceId}`;
    case 'endpoint':
      return `endpoint ${item.value.taskId}`;
    case 'table':
    case undefined:
      return 'table';
  }
}

function apply(copies: Map<string, Copy>, changes: readonly NetworkChange[]): void {
  for (const change of changes) {
    const key = keyOf(change);
    if (key === 'table' && change.remove) {
      copies.delete(change.networkId);
      continue;
    }
    const copy = copies.get(change.networkId) ?? new Map<string, string>();
    copies.set(change.networkId, copy);
    if (change.remove) copy.delete(key);
    else copy.set(key, JSON.stringify(change.item));
  }
}

const NETWORKS = ['ingress', 'front', 'back'];
const NODES = ['n1', 'n2', 'n3'];
const SERVICES = ['web', 'db'];

function network(id: string, ready: boolean): Network {
  const subnets = ready ? [IpamSubnet.create({ subnet: '10.0.1.0/24', gateway: '10.0.1.1' })] : [];
  return Network.create({ id, spec: NetworkSpec.create({ name: id, ingress: id === 'ingress' }), vni: 4096, subnets });
}

function node(id: string, state: NodeState, index: number): Node {
  const dataPath = NodeDataPath.create({ address: `192.0.2.${index}` });
  const description = NodeDescription.create({ hostname: id, dataPath });
  return Node.create({ id, index, description, status: NodeStatus.create({ state }) });
}

function service(id: string, networks: readonly string[], published: boolean): Service {
  const attachments = networks.map((name) => NetworkAttachmentSpec.create({ network: name, aliases: [`${id}-alias`] }));
  const spec = ServiceSpec.create({ name: id, task: TaskSpec.create({ networks: attachments }) });
  const ports = published ? [PortConfig.create({ targetPort: 80, publishedPort: 8080 })] : [];
  const addresses = networks.map((name) => VirtualAddress.create({ network: name, addresses: ['10.0.1.2'] }));
  return Service.create({ id, spec, endpoint: ServiceEndpoint.create({ ports, addresses }) });
}

const step = fc.oneof(
  fc.record({ table: fc.constant('network' as const), id: fc.constantFrom(...NETWORKS), ready: fc.boolean() }),
  fc.record({
    table: fc.constant('node' as const),
    id: fc.constantFrom(...NODES),
    state: fc.constantFrom<NodeState>(NodeState.READY, NodeState.DOWN, NodeState.UNKNOWN, NodeState.DISCONNECTED),
    index: fc.constantFrom(0, 1, 2),
  }),
  fc.record({
    table: fc.constant('service' as const),
    id: fc.constantFrom(...SERVICES),
    networks: fc.subarray(['front', 'back']),
    published: fc.boolean(),
  }),
  fc.record({
    table: fc.constant('task' as const),
    id: fc.constantFrom('t1', 't2', 't3', 't4'),
    nodeId: fc.constantFrom('', ...NODES),
    state: fc.constantFrom<TaskState>(TaskState.PENDING, TaskState.ASSIGNED, TaskState.RUNNING, TaskState.FAILED),
    desiredState: fc.constantFrom<TaskState>(TaskState.RUNNING, TaskState.SHUTDOWN),
    networks: fc.subarray(NETWORKS),
    ready: fc.constantFrom(true, false, undefined),
  }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function objectOf(wish: Step): Change['object'] {
  switch (wish.table) {
    case 'network':
      return network(wish.id, wish.ready);
    case 'node':
      return node(wish.id, wish.state, wish.index);
    case 'service':
      return service(wish.id, wish.networks, wish.published);
    case 'task': {
      const { id, nodeId, desiredState } = wish;
      // A task is of one service as long as it lives.
      const serviceId = id < 't3' ? 'web' : 'db';
      const networks = wish.networks.map((name, index) =>
        NetworkAttachment.create({ network: name, addresses: [`10.0.1.${index + 10}`] }),
      );
      const health = wish.ready === undefined ? undefined : TaskHealth.create({ ready: wish.ready });
      const status = TaskStatus.create({ state: wish.state, health });
      return Task.create({ id, serviceId, nodeId, desiredState, networks, status, slot: 1, revision: 1 });
    }
  }
}

function commit(view: MemoryView, wishes: readonly Step[], remove: boolean): void {
  const changes = new Map<string, Change>();
  for (const wish of wishes) {
    const current = view.get(wish.table, wish.id);
    if (remove && current === undefined) continue;
    const kind = remove ? 'remove' : current === undefined ? 'create' : 'update';
    const object = remove ? current : { ...objectOf(wish), version: current?.version ?? 0 };
    changes.set(wish.id, { kind, table: wish.table, object } as Change);
  }
  if (changes.size > 0) view.commit([...changes.values()]);
}

/** Live tasks on a network as the rule says it, without any caching. */
function attachedByRule(view: StoreView, networkId: string): readonly Task[] {
  return [...view.all('task')].filter((task) => {
    const state = task.status?.state ?? TaskState.NEW;
    const live = task.nodeId !== '' && state >= TaskState.ASSIGNED && state <= TaskState.RUNNING;
    return live && task.networks.some((one) => one.network === networkId);
  });
}

/** The endpoints of a network, and whether they serve: none of a node that is down. */
function endpointsByRule(view: StoreView, networkId: string): ReadonlyMap<string, boolean> {
  const found = new Map<string, boolean>();
  for (const task of attachedByRule(view, networkId)) {
    const nodeState = view.get('node', task.nodeId)?.status?.state;
    if (nodeState === undefined || nodeState === NodeState.DOWN) continue;
    const takesMore = nodeState === NodeState.READY || nodeState === NodeState.UNKNOWN;
    const runs = task.status?.state === TaskState.RUNNING && task.desiredState === TaskState.RUNNING;
    found.set(task.id, runs && takesMore && task.status?.health?.ready !== false);
  }
  return found;
}

/** Nodes that take part, which a node that is down does as long as its tasks count as live. */
function peersByRule(view: StoreView, networkId: string): readonly string[] {
  const attached = new Set(attachedByRule(view, networkId).map(({ nodeId }) => nodeId));
  return [...view.all('node')]
    .filter(({ id, index }) => index > 0 && (networkId === 'ingress' || attached.has(id)))
    .map(({ id }) => id);
}

describe('manager/discovery: network tables', () => {
  it('increments lead to what a new start sees, and both to what the objects say', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.array(step, { minLength: 1, maxLength: 4 }), fc.boolean()), { maxLength: 25 }),
        (history) => {
          const view = new MemoryView();
          for (const serviceId of SERVICES) {
            const spec = ServiceSpec.create({ name: serviceId });
            view.commit([
              {
                kind: 'create',
                table: 'revision',
                object: Revision.create({ id: `r-${serviceId}`, serviceId, number: 1, spec }),
              },
            ]);
          }
          const followed = new NetworkTables();
          followed.restore(view);
          const copies = new Map<string, Copy>();
          view.onCommit(({ events }, now) => {
            for (const changes of followed.observe(events, now).values()) apply(copies, changes);
          });
          for (const [wishes, often] of history) {
            commit(view, wishes, !often && wishes.length === 1);
            const fresh = new NetworkTables();
            fresh.restore(view);
            for (const id of NETWORKS) {
              const begun = new Map<string, Copy>();
              apply(begun, fresh.complete(id));
              assert.deepEqual(copies.get(id), begun.get(id));
              const again = new Map<string, Copy>();
              apply(again, followed.complete(id));
              assert.deepEqual(again, begun);
              if (begun.size === 0) continue;
              const endpoints = new Map<string, boolean>();
              for (const { item } of fresh.complete(id))
                if (item?.kind === 'endpoint') endpoints.set(item.value.taskId, item.value.serving);
              assert.deepEqual(endpoints, endpointsByRule(view, id));
              assert.deepEqual([...fresh.peersOf(id)].sort(), [...peersByRule(view, id)].sort());
              for (const { id: taskId } of view.all('task'))
                assert.equal(followed.networksOfTask(taskId).includes(id), endpoints.has(taskId));
            }
            for (const nodeId of NODES) {
              assert.deepEqual(followed.neededBy(nodeId), fresh.neededBy(nodeId));
              const needed = NETWORKS.filter((id) => {
                if (view.get('network', id)?.subnets.length !== 1) return false;
                const here = attachedByRule(view, id).some((task) => task.nodeId === nodeId);
                return id === 'ingress' || here;
              });
              assert.deepEqual([...fresh.neededBy(nodeId)].sort(), needed.sort());
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('says nothing about what no table shows', () => {
    const view = new MemoryView();
    const tables = new NetworkTables();
    const spec = ServiceSpec.create({
      name: 'web',
      task: TaskSpec.create({ container: ContainerSpec.create({ hostname: 'a-host' }) }),
    });
    view.commit([
      { kind: 'create', table: 'network', object: network('front', true) },
      { kind: 'create', table: 'node', object: node('n1', NodeState.READY, 1) },
      { kind: 'create', table: 'revision', object: Revision.create({ id: 'r1', serviceId: 'web', number: 1, spec }) },
    ]);
    tables.restore(view);
    const networks = [NetworkAttachment.create({ network: 'front', addresses: ['10.0.1.9'] })];
    const running = Task.create({
      id: 't1',
      serviceId: 'web',
      revision: 1,
      slot: 3,
      nodeId: 'n1',
      desiredState: TaskState.RUNNING,
      networks,
      status: TaskStatus.create({ state: TaskState.RUNNING, message: 'started' }),
    });
    let last: readonly NetworkChange[] = [];
    const changes = (): readonly NetworkChange[] => last;
    view.onCommit(({ events }, now) => {
      last = [...tables.observe(events, now).values()].flat();
    });
    view.commit([{ kind: 'create', table: 'task', object: running }]);
    assert.deepEqual(changes().map(keyOf).sort(), ['endpoint t1', 'peer n1']);
    const endpoint = changes().find(({ item }) => item?.kind === 'endpoint')?.item?.value;
    assert.deepEqual(
      endpoint,
      NetworkEndpoint.create({
        taskId: 't1',
        serviceId: 'web',
        nodeId: 'n1',
        slot: 3,
        addresses: ['10.0.1.9'],
        serving: true,
        containerName: 'web.3.t1',
        hostname: 'a-host',
      }),
    );
    const status = TaskStatus.create({ state: TaskState.RUNNING, message: 'running well' });
    view.commit([
      { kind: 'update', table: 'task', object: { ...running, version: view.get('task', 't1')?.version ?? 0, status } },
    ]);
    assert.deepEqual(changes(), []);
    for (const ready of [false, true]) {
      const task = view.get('task', 't1');
      assert.ok(task !== undefined);
      const health = TaskHealth.create({ ready, failingStreak: 3 });
      view.commit([{ kind: 'update', table: 'task', object: { ...task, status: { ...status, health } } }]);
      const serving = changes().map(({ item }) => item?.kind === 'endpoint' && item.value.serving);
      assert.deepEqual(serving, [ready], 'readiness alone is seen');
    }
    const current = view.get('task', 't1');
    assert.ok(current !== undefined);
    view.commit([{ kind: 'update', table: 'task', object: { ...current, desiredState: TaskState.SHUTDOWN } }]);
    assert.deepEqual(
      changes().map(({ item }) => item?.kind === 'endpoint' && item.value.serving),
      [false],
      'but that it is to stop is seen at once',
    );
    const described = node('n1', NodeState.UNKNOWN, 1);
    view.commit([
      { kind: 'update', table: 'node', object: { ...described, version: view.get('node', 'n1')?.version ?? 0 } },
    ]);
    assert.deepEqual(changes(), []);
  });

  it('every table has the port that the swarm has chosen for the data path', () => {
    const view = new MemoryView();
    const tables = new NetworkTables();
    tables.restore(view);
    let last: readonly NetworkChange[] = [];
    view.onCommit(({ events }, now) => {
      last = [...tables.observe(events, now).values()].flat();
    });
    const ports = (): readonly (number | undefined)[] =>
      last.map(({ item }) => (item?.kind === 'table' ? item.value.dataPathPort : undefined));
    view.commit([{ kind: 'create', table: 'network', object: network('front', true) }]);
    assert.deepEqual(ports(), [0]);
    view.commit([{ kind: 'create', table: 'cluster', object: Cluster.create({ id: 'c', dataPathPort: 5789 }) }]);
    assert.deepEqual(ports(), [5789]);
  });

  it('a port in host mode is nobody else’s business', () => {
    const view = new MemoryView();
    const tables = new NetworkTables();
    const ports = [PortConfig.create({ targetPort: 80, publishedPort: 8080, publishMode: PublishMode.HOST })];
    const only = Service.create({
      id: 'web',
      spec: ServiceSpec.create({ name: 'web' }),
      endpoint: ServiceEndpoint.create({ ports }),
    });
    view.commit([
      { kind: 'create', table: 'network', object: network('ingress', true) },
      { kind: 'create', table: 'service', object: only },
    ]);
    tables.restore(view);
    assert.deepEqual(tables.complete('ingress').map(keyOf), ['table']);
  });
});
