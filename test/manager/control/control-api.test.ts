/**
 * Goal: the API takes what Swarm takes, refuses the rest in words that say what to do, and leaves nothing half done.
 * Method: the real API on a plain store; every rule has an example that breaks it.
 */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import {
  CreateServiceRequest,
  ListServicesRequest,
  ListTasksRequest,
  UpdateClusterRequest,
} from '#gen/swarm/v1/control.ts';
import {
  Cluster,
  JoinTokens,
  Node,
  NodeDescription,
  NodeState,
  NodeStatus,
  RootCa,
  Task,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import {
  ClusterSpec,
  ContainerSpec,
  LogConfig,
  Mount,
  MountType,
  NodeRole,
  NodeSpec,
  Placement,
  ResourceRequirements,
  Resources,
  ServiceSpec,
  TaskSpec,
  UpdateConfig,
} from '#gen/swarm/v1/specs.ts';
import { ControlApi } from '#manager/control/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const caller = { author: 'test' };

function setUp(): { api: ControlApi; view: MemoryView } {
  const view = new MemoryView();
  const rootCa = RootCa.create({
    digest: 'd',
    keyPem: Buffer.from('key'),
    joinTokens: JoinTokens.create({ worker: 'w', manager: 'm' }),
  });
  view.commit([
    {
      kind: 'create',
      table: 'cluster',
      object: Cluster.create({ id: 'c', spec: ClusterSpec.create(), rootCa, snapshotKey: new Uint8Array(32) }),
    },
  ]);
  let token = 0;
  const api = new ControlApi({
    store: {
      view: () => view,
      decide: async (decide) => view.commit(decide(view)),
    },
    selfNodeId: () => 'self',
    members: () => [],
    random: new SeededRandom(1),
    images: { resolve: async () => undefined },
    tokens: () => `token-${++token}`,
    now: () => 1_000,
    logger: silentLogger,
  });
  return { api, view };
}

interface SpecChange {
  readonly service?: Partial<ServiceSpec>;
  readonly task?: Partial<TaskSpec>;
  readonly container?: Partial<ContainerSpec>;
}

function spec(name: string, change: SpecChange = {}): ServiceSpec {
  const container = ContainerSpec.create({ image: 'busybox:latest', ...change.container });
  const task = TaskSpec.create({ container, ...change.task });
  return ServiceSpec.create({ name, mode: { kind: 'replicated', value: { replicas: 2 } }, task, ...change.service });
}

const create = (value: ServiceSpec): CreateServiceRequest => CreateServiceRequest.create({ spec: value });

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of stream) all.push(item);
  return all;
}

describe('control API: services', () => {
  it('creates a service with its first revision in one transaction', async () => {
    const { api, view } = setUp();
    const { service } = await api.createService(caller, create(spec('web')));
    assert.ok(service);
    assert.equal(view.version, 2);
    assert.equal(view.revision(service.id, 1)?.createdBy, 'test');
    assert.equal(view.serviceByName('web')?.id, service.id);
  });

  it('a name is given once, also to two who ask at the same time', async () => {
    const { api, view } = setUp();
    const results = await Promise.allSettled([1, 2, 3].map(() => api.createService(caller, create(spec('web')))));
    const refused = results.filter((result) => result.status === 'rejected');
    assert.equal(refused.length, 2);
    for (const { reason } of refused) assert.equal(SwarmError.from(reason).reason, 'duplicate-name');
    assert.equal(view.count('service'), 1);
  });

  it('a name is free again when the service is gone, and its refusal says so until then', async () => {
    const { api } = setUp();
    await api.createService(caller, create(spec('web')));
    await api.removeService(caller, { reference: 'web' });
    await assert.rejects(api.createService(caller, create(spec('web'))), (thrown) => {
      const { reason, field, message } = SwarmError.from(thrown);
      assert.deepEqual([reason, field, message], ['in-use', 'name', 'service web is being removed']);
      return true;
    });
  });

  const refusals: readonly [string, SpecChange & { name?: string }, RegExp][] = [
    ['a name with a slash', { name: 'a/b' }, /name.*"a\/b".*DNS name/],
    ['a name of 64 characters', { name: 'x'.repeat(64) }, /63 characters or fewer/],
    ['no image', { container: { image: '' } }, /image reference must be provided/],
    ['a bad image', { container: { image: 'UPPER CASE' } }, /image/i],
    [
      'an environment of 10 MiB',
      { container: { env: ['A=1', `BIG=${'x'.repeat(10 << 20)}`] } },
      /BIG.*ENV_ENTRY_BYTES/,
    ],
    [
      'many entries of the environment',
      { container: { env: Array.from({ length: 20 }, (_, n) => `N${n}=${'x'.repeat(60_000)}`) } },
      /ENV_TOTAL_BYTES/,
    ],
    ['an entry without a name', { container: { env: ['=x'] } }, /env.*has no name/],
    [
      'a mount over /proc',
      { container: { mounts: [Mount.create({ type: MountType.TMPFS, target: '/proc/x' })] } },
      /lies in \/proc/,
    ],
    [
      'a mount over the root',
      { container: { mounts: [Mount.create({ type: MountType.TMPFS, target: '//' })] } },
      /root \/ cannot/,
    ],
    ['a mount without a type', { container: { mounts: [Mount.create({ target: '/x' })] } }, /has no type/],
    [
      'a relative bind',
      { container: { mounts: [Mount.create({ type: MountType.BIND, source: 'x', target: '/x' })] } },
      /absolute path/,
    ],
    [
      'a volume name that is a path',
      { container: { mounts: [Mount.create({ type: MountType.VOLUME, source: '../x', target: '/x' })] } },
      /volume name/,
    ],
    ['a signal', { container: { stopSignal: 'SIGFOO' } }, /stop-signal: "SIGFOO" is not a signal/],
    ['the number of a signal', { container: { stopSignal: '999' } }, /stop-signal: "999" is not a signal/],
    ['a workdir in /proc', { container: { dir: '/proc/self/fd/7' } }, /workdir.*not allowed/],
    ['a huge uid', { container: { user: '4294967296' } }, /user.*is not a user/],
    ['a sysctl of the host', { container: { sysctls: { 'vm.swappiness': '1' } } }, /not namespaced/],
    [
      'too little memory',
      { task: { resources: ResourceRequirements.create({ limits: Resources.create({ memoryBytes: 1000 }) }) } },
      /at least 4MiB/,
    ],
    [
      'swap without a limit of memory',
      { task: { resources: ResourceRequirements.create({ memorySwapBytes: 10 << 20 }) } },
      /memory-swap: 10485760 .* no memory limit/,
    ],
    [
      'negative cpu',
      { task: { resources: ResourceRequirements.create({ reservations: Resources.create({ cpuNanos: -1 }) }) } },
      /at least 0.001/,
    ],
    [
      'a constraint that is none',
      { task: { placement: Placement.create({ constraints: ['node.labels.x ~ y'] }) } },
      /constraint/,
    ],
    [
      'too many replicas',
      { service: { mode: { kind: 'replicated', value: { replicas: 10_000_000 } } } },
      /REPLICAS_PER_SERVICE|replicas: 10000000/,
    ],
    ['no mode', { service: { mode: undefined } }, /no mode/],
    ['a ratio above 1', { service: { update: UpdateConfig.create({ maxFailureRatio: 2 }) } }, /between 0 and 1/],
  ];
  for (const [what, { name = 'web', ...change }, message] of refusals)
    it(`refuses ${what}, and nothing is left of it`, async () => {
      const { api, view } = setUp();
      await assert.rejects(api.createService(caller, create(spec(name, change))), (thrown: unknown) => {
        const error = SwarmError.from(thrown);
        assert.match(error.message, message);
        assert.ok(['invalid', 'unimplemented'].includes(error.code), error.code);
        assert.ok(error.hint !== undefined && error.hint !== '', 'says a way out');
        return true;
      });
      assert.equal(view.count('service') + view.count('revision'), 0);
    });

  it('scaling makes no revision, another image does, and old revisions go once no task needs them', async () => {
    const { api, view } = setUp();
    let { service } = await api.createService(caller, create(spec('web')));
    assert.ok(service);
    const update = async (next: ServiceSpec): Promise<void> => {
      assert.ok(service);
      const request = { id: service.id, version: service.version, spec: next, queryRegistry: false };
      ({ service } = await api.updateService(caller, request));
    };
    await update(spec('web', { service: { mode: { kind: 'replicated', value: { replicas: 9 } } } }));
    assert.equal(service?.revision, 1);
    const task = Task.create({ id: 't', serviceId: service?.id ?? '', revision: 1, slot: 1 });
    view.commit([{ kind: 'create', table: 'task', object: task }]);
    for (let n = 0; n < LIMITS.REVISIONS_KEPT + 3; n++)
      await update(spec('web', { container: { image: `busybox:${n}` } }));
    const numbers = [...view.revisionsOfService(service?.id ?? '')].map((revision) => revision.number);
    assert.ok(numbers.includes(1), 'a task runs revision 1');
    assert.equal(numbers.length, LIMITS.REVISIONS_KEPT);
    assert.equal(Math.max(...numbers), service?.revision);
  });

  it('an update from an old version, a rename and a change of mode are refused', async () => {
    const { api } = setUp();
    const { service } = await api.createService(caller, create(spec('web')));
    assert.ok(service);
    const request = (next: ServiceSpec, version = service.version) => ({
      id: service.id,
      version,
      spec: next,
      queryRegistry: false,
    });
    await assert.rejects(api.updateService(caller, request(spec('web'), service.version - 1)), {
      reason: 'out-of-sequence',
    });
    await assert.rejects(api.updateService(caller, request(spec('other'))), /renaming/);
    await assert.rejects(
      api.updateService(caller, request(spec('web', { service: { mode: { kind: 'global', value: {} } } }))),
      /mode change/,
    );
  });

  it('credentials are never shown and survive an update that does not give any', async () => {
    const { api, view } = setUp();
    const { service } = await api.createService(caller, create(spec('web', { container: { registryAuth: 'secret' } })));
    assert.ok(service?.spec);
    assert.equal(service.spec.task?.container?.registryAuth, '');
    await api.updateService(caller, {
      id: service.id,
      version: service.version,
      spec: service.spec,
      queryRegistry: false,
    });
    assert.equal(view.get('service', service.id)?.spec?.task?.container?.registryAuth, 'secret');
    assert.equal(view.get('service', service.id)?.revision, 1);
  });

  it('an unreachable registry is a warning, an answer is pinned', async () => {
    const { view } = setUp();
    const random = new SeededRandom(5);
    const make = (resolve: () => Promise<{ digest: string; platforms: [] }>): ControlApi =>
      new ControlApi({
        store: { view: () => view, decide: async (decide) => view.commit(decide(view)) },
        selfNodeId: () => 'self',
        members: () => [],
        random,
        images: { resolve },
        tokens: () => '',
        now: () => 1,
        logger: silentLogger,
      });
    const down = make(() => Promise.reject(new Error('connection refused')));
    const one = await down.createService(
      caller,
      CreateServiceRequest.create({ spec: spec('one'), queryRegistry: true }),
    );
    assert.match(one.warnings.join(), /could not be accessed on a registry.*connection refused/);
    const digest = `sha256:${'a'.repeat(64)}`;
    const up = make(async () => ({ digest, platforms: [] }));
    const two = await up.createService(caller, CreateServiceRequest.create({ spec: spec('two'), queryRegistry: true }));
    assert.match(two.service?.spec?.task?.container?.image ?? '', new RegExp(`busybox:latest@${digest}`));
  });

  it('finds by name, id and unique prefix, and says when a prefix is not unique', async () => {
    const { api } = setUp();
    for (let n = 0; n < 40; n++) await api.createService(caller, create(spec(`web${n}`)));
    const { service } = await api.getService(caller, { reference: 'web7' });
    assert.ok(service);
    assert.equal((await api.getService(caller, { reference: service.id.slice(0, 12) })).service?.id, service.id);
    await assert.rejects(api.getService(caller, { reference: 'nope' }), /service nope not found/);
    const list = await collect(api.listServices(caller, ListServicesRequest.create()));
    const ids = list.flatMap((page) => page.services.map((entry) => entry.service?.id ?? ''));
    const firsts = ids.map((id) => id[0] ?? '');
    const shared = firsts.find((first, index) => firsts.indexOf(first) !== index);
    assert.ok(shared);
    await assert.rejects(api.getService(caller, { reference: shared }), /is ambiguous \(\d+ matches found\)/);
  });

  it('removal marks the service and answers with its id; a second one is no error', async () => {
    const { api, view } = setUp();
    const { service } = await api.createService(caller, create(spec('web')));
    const { id } = await api.removeService(caller, { reference: 'web' });
    assert.equal(id, service?.id);
    assert.equal(view.get('service', id)?.pendingDelete, true);
    await api.removeService(caller, { reference: id });
  });
});

describe('control API: nodes, tasks, cluster', () => {
  function withNode(view: MemoryView, state: NodeState, role: NodeRole = NodeRole.WORKER): Node {
    const node = Node.create({
      id: 'n1',
      role,
      spec: NodeSpec.create({ desiredRole: role }),
      status: NodeStatus.create({ state }),
      description: NodeDescription.create({ hostname: 'host-1' }),
    });
    view.commit([{ kind: 'create', table: 'node', object: node }]);
    return node;
  }

  it('a node that is not down goes by force only; its tasks are orphaned and its certificate refused', async () => {
    const { api, view } = setUp();
    withNode(view, NodeState.READY);
    const status = TaskStatus.create({ state: TaskState.RUNNING });
    view.commit([{ kind: 'create', table: 'task', object: Task.create({ id: 't', nodeId: 'n1', status }) }]);
    await assert.rejects(api.removeNode(caller, { reference: 'host-1', force: false }), { reason: 'needs-force' });
    await api.removeNode(caller, { reference: 'host-1', force: true });
    assert.equal(view.get('node', 'n1'), undefined);
    assert.equal(view.get('task', 't')?.status?.state, TaskState.ORPHANED);
    assert.equal(view.cluster()?.removedNodes[0]?.nodeId, 'n1');
  });

  it('of several nodes of one name the id is asked for, not more of the name', async () => {
    const { api, view } = setUp();
    const node = withNode(view, NodeState.READY);
    view.commit([{ kind: 'create', table: 'node', object: { ...node, id: 'n2' } }]);
    await assert.rejects(api.getNode(caller, { reference: 'host-1' }), {
      message: 'node host-1 is ambiguous (2 matches found)',
      hint: 'several have this name: give the id that `swarm node ls` shows',
    });
    await assert.rejects(api.getNode(caller, { reference: 'n' }), { hint: 'give more of the id' });
  });

  it('a manager cannot be removed', async () => {
    const { api, view } = setUp();
    withNode(view, NodeState.DOWN, NodeRole.MANAGER);
    await assert.rejects(api.removeNode(caller, { reference: 'n1', force: true }), /is a cluster manager/);
  });

  it('tasks are filtered by what they should do, and an unknown word is refused', async () => {
    const { api, view } = setUp();
    for (const [id, desiredState] of [
      ['a', TaskState.RUNNING],
      ['b', TaskState.SHUTDOWN],
    ] as const)
      view.commit([
        { kind: 'create', table: 'task', object: Task.create({ id, desiredState, serviceId: 's', slot: 1 }) },
      ]);
    const pages = await collect(api.listTasks(caller, ListTasksRequest.create({ desiredStates: ['running'] })));
    assert.deepEqual(
      pages.flatMap((page) => page.tasks.map((entry) => entry.task?.id)),
      ['a'],
    );
    await assert.rejects(
      collect(api.listTasks(caller, ListTasksRequest.create({ desiredStates: ['constructor'] }))),
      /not a state/,
    );
  });

  it('tokens rotate one by one; the root key is never shown; limits of the spec are kept', async () => {
    const { api, view } = setUp();
    const version = view.cluster()?.version ?? 0;
    const { cluster } = await api.updateCluster(
      caller,
      UpdateClusterRequest.create({ version, rotateWorkerToken: true }),
    );
    assert.deepEqual(cluster?.rootCa?.joinTokens, { worker: 'token-1', manager: 'm' });
    assert.equal(cluster?.rootCa?.keyPem.length, 0);
    assert.equal(cluster?.snapshotKey.length, 0);
    const refused = async (spec: ClusterSpec, message: RegExp): Promise<void> => {
      const request = UpdateClusterRequest.create({ version: cluster?.version ?? 0, spec });
      await assert.rejects(api.updateCluster(caller, request), message);
    };
    await refused(ClusterSpec.create({ ca: { nodeCertExpiryMs: 1000, externalCas: [] } }), /cert-expiry/);
    await refused(ClusterSpec.create({ log: LogConfig.create({ saveIntervalMs: 500 }) }), /snapshot-save-interval/);
    await refused(ClusterSpec.create({ log: LogConfig.create({ savesKept: 0 }) }), /snapshot-save-keep/);
    await refused(ClusterSpec.create({ log: LogConfig.create({ snapshotsKept: 1e6 }) }), /max-snapshots/);
  });
});
