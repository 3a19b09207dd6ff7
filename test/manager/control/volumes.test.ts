/**
 * Goal: volumes of all nodes are made, found, removed and pruned by rules that name what forbids it. Method: the real API
 * on a plain store; each rule has an example that breaks it.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { ANONYMOUS_LABEL } from '#common/volume-names.ts';
import {
  Cluster,
  NodeState,
  Task,
  TaskState,
  TaskStatus,
  type Volume,
  VolumeClaim,
  VolumeSpec,
  VolumeState,
} from '#gen/swarm/v1/objects.ts';
import {
  ClusterSpec,
  ContainerSpec,
  Mount,
  MountType,
  TaskSpec,
  TmpfsOptions,
  VolumeOptions,
} from '#gen/swarm/v1/specs.ts';
import {
  CreateVolumeRequest,
  GetVolumeRequest,
  ListVolumesRequest,
  PruneVolumesRequest,
  RemoveVolumeRequest,
} from '#gen/swarm/v1/volumes.ts';
import { ControlApi, validateService } from '#manager/control/index.ts';
import { SERVICES_LEVEL } from '#manager/scheduler/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';
import { node, revision, service, spec } from '#test/manager/loops/objects.ts';

const caller = { author: 'test' };

describe('control API: volumes', () => {
  let view: MemoryView;
  let api: ControlApi['volumes'];

  beforeEach(() => {
    view = new MemoryView();
    const cluster = Cluster.create({ id: 'c', spec: ClusterSpec.create(), featureLevel: SERVICES_LEVEL });
    view.commit([{ kind: 'create', table: 'cluster', object: cluster }]);
    for (const id of ['n1', 'n2']) addNode(id);
    api = new ControlApi({
      store: { view: () => view, decide: async (decide) => view.commit(decide(view)) },
      selfNodeId: () => 'n1',
      members: () => [],
      random: new SeededRandom(1),
      images: { resolve: async () => undefined },
      tokens: () => 'token',
      now: () => 1_000,
      logger: silentLogger,
    }).volumes;
  });

  function addNode(id: string, featureLevel: number = SERVICES_LEVEL): void {
    const made = node(id, { hostname: `host-${id}` });
    const object = { ...made, description: { ...made.description, featureLevel } as typeof made.description };
    view.commit([{ kind: 'create', table: 'node', object }]);
  }

  function setDown(id: string): void {
    const found = view.get('node', id);
    assert.ok(found?.status);
    view.commit([
      { kind: 'update', table: 'node', object: { ...found, status: { ...found.status, state: NodeState.DOWN } } },
    ]);
  }

  const create = (name: string, at = 'n1', more: Partial<VolumeSpec> = {}) =>
    api.create(caller, CreateVolumeRequest.create({ spec: VolumeSpec.create({ name, ...more }), node: at }));

  async function made(name: string, at = 'n1', more: Partial<VolumeSpec> = {}): Promise<Volume> {
    const { volume } = await create(name, at, more);
    return edit(volume?.id ?? '', { state: VolumeState.READY, mountpoint: '/v', scope: 'local' });
  }

  function edit(id: string, fields: Partial<Volume>): Volume {
    const volume = view.get('volume', id);
    assert.ok(volume);
    view.commit([{ kind: 'update', table: 'volume', object: { ...volume, ...fields } }]);
    return view.get('volume', id) as Volume;
  }

  const remove = (reference: string, fields: Partial<RemoveVolumeRequest> = {}) =>
    api.remove(caller, RemoveVolumeRequest.create({ reference, ...fields }));

  async function listed(fields: Partial<ListVolumesRequest> = {}): Promise<readonly string[]> {
    const names: string[] = [];
    for await (const { volumes } of api.list(caller, ListVolumesRequest.create(fields)))
      names.push(...volumes.map(({ volume, nodeHostname }) => `${volume?.spec?.name} ${nodeHostname}`));
    return names.toSorted();
  }

  async function refused(work: Promise<unknown>): Promise<SwarmError> {
    const error = await work.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof SwarmError, String(error));
    return error;
  }

  /** A service whose task is on the node and mounts the volume. */
  function use(source: string, nodeId: string, state: TaskState = TaskState.RUNNING): void {
    const container = ContainerSpec.create({
      mounts: [Mount.create({ type: MountType.VOLUME, source, target: '/d' })],
    });
    const declared = spec({ name: 'db', task: { container } });
    const task = Task.create({
      id: 't1',
      serviceId: 's1',
      slot: 1,
      revision: 1,
      nodeId,
      status: TaskStatus.create({ state }),
    });
    view.commit([
      { kind: 'create', table: 'service', object: service('s1', declared) },
      { kind: 'create', table: 'revision', object: revision('s1', 1, declared) },
      { kind: 'create', table: 'task', object: task },
    ]);
  }

  it('makes one, once; what differs is another name', async () => {
    const { volume } = await create('data', 'self');
    assert.deepEqual([volume?.nodeId, volume?.state], ['n1', VolumeState.CREATING]);
    assert.equal((await create('data')).volume?.id, volume?.id);
    assert.notEqual((await create('data', 'n2')).volume?.id, volume?.id);
    const other = await refused(create('data', 'n1', { driverOptions: { type: 'tmpfs' } }));
    assert.deepEqual([other.reason, other.field], ['duplicate-name', 'name']);
    edit(volume?.id ?? '', { state: VolumeState.FAILED, message: 'why' });
    assert.deepEqual((await create('data')).volume?.state, VolumeState.CREATING);
  });

  it('refuses nodes that are away or of an older release, and a swarm of one', async () => {
    assert.equal((await refused(create('data', 'n9'))).code, 'not-found');
    setDown('n2');
    assert.match((await refused(create('data', 'n2'))).message, /node host-n2 does not answer/);
    addNode('old', 3);
    assert.equal((await refused(create('data', 'old'))).reason, 'feature-level');
    const cluster = view.cluster();
    assert.ok(cluster);
    view.commit([{ kind: 'update', table: 'cluster', object: { ...cluster, featureLevel: 3 } }]);
    assert.deepEqual((await refused(create('data'))).field, 'volume');
  });

  it('names are found on one node or on all, ids and their beginnings too', async () => {
    const one = await made('data');
    await made('data', 'n2');
    const found = async (reference: string, at = ''): Promise<number> =>
      (await api.get(caller, GetVolumeRequest.create({ reference, node: at }))).volumes.length;
    assert.deepEqual([await found('data'), await found('data', 'n2'), await found(one.id)], [2, 1, 1]);
    assert.equal(await found(one.id.slice(0, 12)), 1);
    assert.equal((await refused(found('Data'))).code, 'not-found');
    assert.equal((await refused(found('nothing'))).code, 'not-found');
    assert.equal((await refused(found(''))).field, 'volume');
    assert.match((await refused(remove('data'))).message, /2 nodes have a volume data/);
  });

  it('refuses to remove what a task has, with its name; what a slot returns to needs force', async () => {
    const volume = await made('data-1');
    use('data-{{.Task.Slot}}', 'n1');
    const error = await refused(remove('data-1'));
    assert.equal(error.reason, 'in-use');
    assert.match(error.message, /volume is in use - \[db\.1\]/);
    assert.equal((await refused(remove('data-1', { force: true }))).reason, 'in-use');
    const task = view.get('task', 't1');
    assert.ok(task);
    view.commit([
      { kind: 'update', table: 'task', object: { ...task, status: TaskStatus.create({ state: TaskState.FAILED }) } },
    ]);
    edit(volume.id, { claims: [VolumeClaim.create({ serviceId: 's1', slot: 1 })] });
    assert.deepEqual([(await refused(remove('data-1'))).reason, await listed({ dangling: true })], ['needs-force', []]);
    const { volume: going } = await remove('data-1', { force: true });
    assert.deepEqual([going?.state, going?.pendingDelete], [VolumeState.REMOVING, true]);
    assert.match((await refused(create('data-1'))).message, /is being removed/);
  });

  it('of a node that is away it says so, and forgets the volume when forced', async () => {
    await made('data', 'n2');
    setDown('n2');
    const error = await refused(remove('data'));
    assert.match(`${error.message} ${error.hint}`, /host-n2 does not answer.*forget it with --force/);
    await remove('data', { force: true });
    assert.deepEqual(await listed(), []);
  });

  it('lists by name, label, driver, node and use', async () => {
    await made('one', 'n1', { labels: { tier: 'db' } });
    await made('two', 'n2', { driver: 'keeper' });
    use('one', 'n1', TaskState.PREPARING);
    assert.deepEqual(await listed({ names: ['o'] }), ['one host-n1', 'two host-n2']);
    assert.deepEqual(await listed({ labels: ['tier=db'] }), ['one host-n1']);
    assert.deepEqual(await listed({ drivers: ['keeper'] }), ['two host-n2']);
    assert.deepEqual(await listed({ nodes: ['host-n2'] }), ['two host-n2']);
    assert.deepEqual(await listed({ dangling: true }), ['two host-n2']);
    assert.deepEqual(await listed({ dangling: false }), ['one host-n1']);
  });

  it('prunes what nothing uses: anonymous ones, or all of them', async () => {
    await made('used');
    await made('free', 'n1', { labels: { keep: '' } });
    await made('nameless', 'n2', { labels: { [ANONYMOUS_LABEL]: '' } });
    use('used', 'n1');
    const prune = async (fields: Partial<PruneVolumesRequest>): Promise<readonly string[]> =>
      (await api.prune(caller, PruneVolumesRequest.create(fields))).volumes.map((volume) => volume.spec?.name ?? '');
    assert.deepEqual(await prune({}), ['nameless']);
    assert.deepEqual(await prune({ all: true, withoutLabels: ['keep'] }), []);
    assert.deepEqual(await prune({ all: true, nodes: ['n2'] }), []);
    assert.deepEqual(await prune({ all: true }), ['free']);
    assert.deepEqual(await prune({ all: true }), [], 'its removal has begun');
  });

  it('whatever a spec holds, it is taken as it is, or refused with the field', async () => {
    const text = fc.oneof(
      fc.string(),
      fc.constantFrom('', 'local', '../x', 'a/b', 'tmpfs', 'nfs', 'x'.repeat(5000), '\0'),
    );
    const map = fc.dictionary(fc.oneof(text, fc.constantFrom('type', 'device', 'o', 'size')), text, { maxKeys: 4 });
    const anySpec = fc.record({ name: text, driver: text, driverOptions: map, labels: map });
    await fc.assert(
      fc.asyncProperty(anySpec, async (fields) => {
        const before = view.count('volume');
        const outcome = await create(fields.name, 'n1', fields).catch((thrown: unknown) => thrown);
        if (outcome instanceof Error) {
          assert.ok(outcome instanceof SwarmError, String(outcome));
          assert.notEqual(outcome.code, 'internal');
          assert.ok(outcome.field !== undefined, outcome.message);
          assert.equal(view.count('volume'), before);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('mounts of services are held to the same rules', () => {
    const problem = (mount: Partial<Mount>): string => {
      const mounts = [Mount.create({ type: MountType.VOLUME, source: 'v', target: '/d', ...mount })];
      const container = ContainerSpec.create({ image: 'image:1', mounts });
      try {
        validateService(spec({ task: TaskSpec.create({ container }) }));
        return '';
      } catch (error) {
        assert.ok(error instanceof SwarmError);
        return `${error.field}: ${error.message}`;
      }
    };
    const volume = (fields: Partial<VolumeOptions>): Partial<Mount> => ({ volume: VolumeOptions.create(fields) });
    const tmpfs = (fields: Partial<TmpfsOptions>): Partial<Mount> => ({
      type: MountType.TMPFS,
      source: '',
      tmpfs: TmpfsOptions.create(fields),
    });
    for (const fine of [
      volume({ subpath: 'a/b' }),
      volume({ driver: 'vieux/sshfs:latest', driverOptions: { sshcmd: 'me@host:/' } }),
      volume({ driverOptions: { type: 'nfs', device: ':/export', o: 'addr=10.0.0.1,rw' } }),
      volume({ driverOptions: { type: 'none', device: '/srv', o: 'bind' } }),
      volume({ driverOptions: { type: 'tmpfs', size: '10%' } }),
      volume({ driverOptions: { type: 'tmpfs', device: 'tmpfs', o: 'size=100m,uid=1000,mode=0770,noexec,size=50%' } }),
      tmpfs({ options: ['exec', 'uid=0'] }),
    ])
      assert.equal(problem(fine), '', JSON.stringify(fine));
    for (const [bad, words] of [
      [volume({ subpath: '../x' }), /volume\.subpath: .*below the root of a volume/],
      [volume({ subpath: '/x' }), /volume\.subpath/],
      [{ source: '', ...volume({ subpath: 'x' }) }, /volume\.subpath/],
      [volume({ driver: '../x' }), /volume\.driver: /],
      [volume({ driverOptions: { type: 'tmpfs', o: 'size=1q' } }), /driver_options: o: "size=1q" has no value that/],
      [volume({ driverOptions: { type: 'tmpfs', o: 'noexec,mode=999' } }), /o: "mode=999"/],
      [volume({ driverOptions: { type: 'tmpfs', o: 'uid' } }), /o: "uid"/],
      [volume({ driverOptions: { size: '1g' } }), /driver_options: size limits a volume of type tmpfs/],
      [volume({ driverOptions: { type: 'ext4' } }), /device is missing/],
      [volume({ driverOptions: { type: 'ext4', device: '/x', o: 'loop' } }), /"loop" is not taken/],
      [volume({ driverOptions: { type: 'none', device: '/a/../b', o: 'bind' } }), /not an absolute path/],
      [volume({ labels: { '': 'x' } }), /volume\.labels/],
      [tmpfs({ options: ['size=1g'] }), /tmpfs\.options: .*no option "size"/],
      [tmpfs({ options: ['uid=x'] }), /no usable value/],
      [tmpfs({ mode: 0o17777 }), /tmpfs\.mode/],
    ] as const)
      assert.match(problem(bad), words);
  });
});
