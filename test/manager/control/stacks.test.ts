/**
 * Goal: a stack is deployed whole or not at all, says what it would change, and never meets another's objects. Method:
 * the real API on a plain store; every rule has an example that breaks it.
 */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { CreateNetworkRequest, CreateServiceRequest, UpdateServiceRequest } from '#gen/swarm/v1/control.ts';
import { Cluster, type Service, StackSpec, StackState } from '#gen/swarm/v1/objects.ts';
import {
  ClusterSpec,
  ContainerSpec,
  DependencyCondition,
  NetworkAttachmentSpec,
  NetworkSpec,
  SecretReference,
  ServiceDependency,
  ServiceSpec,
  TaskSpec,
} from '#gen/swarm/v1/specs.ts';
import { DeployStackRequest, StackAction, type StackChange, StackSecret } from '#gen/swarm/v1/stacks.ts';
import { ControlApi, type ImagePinner } from '#manager/control/index.ts';
import { SERVICES_LEVEL } from '#manager/scheduler/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const caller = { author: 'test' };
const LABELS = { 'com.docker.stack.namespace': 'shop' };

interface SetUp {
  readonly api: ControlApi;
  readonly view: MemoryView;
  readonly asked: string[];
}

function setUp(resolve: ImagePinner['resolve'] = async () => undefined): SetUp {
  const view = new MemoryView();
  const cluster = Cluster.create({ id: 'c', spec: ClusterSpec.create(), featureLevel: SERVICES_LEVEL });
  view.commit([{ kind: 'create', table: 'cluster', object: cluster }]);
  const asked: string[] = [];
  const api = new ControlApi({
    store: { view: () => view, decide: async (decide) => view.commit(decide(view)) },
    selfNodeId: () => 'self',
    members: () => [],
    random: new SeededRandom(1),
    images: {
      resolve: async (image, auth) => {
        asked.push(image);
        return resolve(image, auth);
      },
    },
    tokens: () => 'token',
    now: () => 1_000,
    logger: silentLogger,
  });
  return { api, view, asked };
}

interface Options {
  readonly image?: string;
  readonly networks?: readonly string[];
  readonly secrets?: readonly string[];
  readonly dependsOn?: readonly string[];
}

function service(name: string, options: Options = {}): ServiceSpec {
  const image = options.image ?? 'busybox:1';
  const secrets = (options.secrets ?? []).map((secretId) => SecretReference.create({ secretId, follow: true }));
  const container = ContainerSpec.create({ image, secrets, env: ['A=1'] });
  const networks = (options.networks ?? []).map((network) => NetworkAttachmentSpec.create({ network }));
  return ServiceSpec.create({
    name: `shop_${name}`,
    labels: { ...LABELS, 'com.docker.stack.image': image },
    mode: { kind: 'replicated', value: { replicas: 1 } },
    task: TaskSpec.create({ container, networks }),
    dependsOn: (options.dependsOn ?? []).map((other) =>
      ServiceDependency.create({ service: `shop_${other}`, condition: DependencyCondition.STARTED }),
    ),
  });
}

function request(init: Partial<DeployStackRequest>): DeployStackRequest {
  return DeployStackRequest.create({ spec: StackSpec.create({ name: 'shop' }), ...init });
}

const network = (name: string, more: Partial<NetworkSpec> = {}): NetworkSpec =>
  NetworkSpec.create({ name, labels: LABELS, ...more });

const secret = (name: string, data: string): StackSecret =>
  StackSecret.create({ spec: { name, labels: LABELS, templateDriver: '' }, data: Buffer.from(data) });

const WHOLE: Partial<DeployStackRequest> = {
  networks: [network('shop_front')],
  secrets: [secret('shop_token', 'hush-1')],
  services: [service('web', { networks: ['shop_front'], secrets: ['shop_token'], dependsOn: ['db'] }), service('db')],
};

function actions(changes: readonly StackChange[]): readonly string[] {
  const words = {
    [StackAction.CREATE]: '+',
    [StackAction.UPDATE]: '~',
    [StackAction.REMOVE]: '-',
    [StackAction.KEEP]: '=',
    [StackAction.UNSPECIFIED]: '?',
  };
  return changes.map(({ action, name, replacesTasks }) => `${words[action]}${name}${replacesTasks ? '!' : ''}`);
}

async function refused(work: Promise<unknown>, words: RegExp): Promise<void> {
  await assert.rejects(work, (thrown) => {
    assert.ok(thrown instanceof SwarmError);
    assert.match(thrown.message, words);
    return true;
  });
}

const named = (view: MemoryView, name: string): Service => view.serviceByName(`shop_${name}`) as Service;

describe('control API: stacks', () => {
  it('everything of a stack comes in one commit, services behind those that they depend on', async () => {
    const { api, view } = setUp();
    const before = view.version;
    const { stack, changes } = await api.stacks.deployStack(caller, request(WHOLE));
    assert.equal(view.version, before + 1);
    assert.deepEqual(actions(changes), ['+shop_front', '+shop_token', '+shop_db', '+shop_web']);
    assert.deepEqual(stack?.serviceIds, [named(view, 'db').id, named(view, 'web').id]);
    assert.deepEqual(named(view, 'web').spec?.dependsOn[0]?.service, named(view, 'db').id);
    assert.equal(named(view, 'web').waitsFor, 'shop_db to run');
    assert.equal(named(view, 'db').waitsFor, '');
    assert.equal(named(view, 'web').spec?.task?.container?.secrets[0]?.number, 1);
  });

  it('the same again changes nothing, and a dry run never does', async () => {
    const { api, view } = setUp();
    await api.stacks.deployStack(caller, request({ ...WHOLE, dryRun: true }));
    assert.equal(view.count('service') + view.count('stack') + view.count('network'), 0);
    await api.stacks.deployStack(caller, request(WHOLE));
    const web = named(view, 'web');
    const { changes } = await api.stacks.deployStack(caller, request(WHOLE));
    assert.deepEqual(actions(changes), ['=shop_front', '=shop_token', '=shop_db', '=shop_web']);
    assert.equal(named(view, 'web'), web);
  });

  it('a secret that holds something else rolls what refers to it, and what it holds is not shown', async () => {
    const { api, view } = setUp();
    await api.stacks.deployStack(caller, request(WHOLE));
    const { changes } = await api.stacks.deployStack(
      caller,
      request({ ...WHOLE, secrets: [secret('shop_token', 'hush-2')] }),
    );
    assert.deepEqual(actions(changes), ['=shop_front', '~shop_token', '=shop_db', '~shop_web!']);
    assert.doesNotMatch(JSON.stringify(changes), /hush|aHVz/);
    assert.equal(named(view, 'web').revision, 2);
    assert.equal(named(view, 'web').spec?.task?.container?.secrets[0]?.number, 2);
  });

  it('changes are named field by field, and scaling replaces no task', async () => {
    const { api } = setUp();
    await api.stacks.deployStack(caller, request({ services: [service('db')] }));
    const scaled: ServiceSpec = { ...service('db'), mode: { kind: 'replicated', value: { replicas: 3 } } };
    const { changes } = await api.stacks.deployStack(caller, request({ services: [scaled], dryRun: true }));
    assert.deepEqual(actions(changes), ['~shop_db']);
    assert.match(JSON.stringify(changes[0]?.fields), /replicas.*"before":"1","after":"3"/);
    const other = await api.stacks.deployStack(
      caller,
      request({ services: [service('db', { image: 'busybox:2' })], dryRun: true }),
    );
    assert.deepEqual(actions(other.changes), ['~shop_db!']);
    assert.match(JSON.stringify(other.changes[0]?.fields), /task\.container\.image/);
  });

  it('one bad service, and nothing of the stack is there', async () => {
    const { api, view } = setUp();
    for (const [bad, words] of [
      [{ services: [service('db'), service('web', { image: '' })] }, /image/],
      [{ services: [service('web', { networks: ['nowhere'] })] }, /network nowhere not found/],
      [{ services: [service('web', { secrets: ['nothing'] })] }, /secret nothing not found/],
      [{ services: [service('web', { dependsOn: ['ghost'] })] }, /depends-on: service shop_ghost not found/],
      [
        { services: [service('a', { dependsOn: ['b'] }), service('b', { dependsOn: ['a'] })] },
        /would wait for each other: shop_a -> shop_b -> shop_a/,
      ],
      [{ services: [service('a', { dependsOn: ['a'] })] }, /would wait/],
      [{ services: Array.from({ length: 150 }, (_, i) => service(`s${i}`)) }, /makes 302 changes, the limit is 200/],
      [{ services: [service('a'), service('a')] }, /services: shop_a is declared twice/],
      [{ spec: StackSpec.create({ name: 'not a name' }), services: [service('a')] }, /name/],
      [{ secrets: [secret('shop_token', '')], services: [service('a')] }, /secret/i],
    ] as const)
      await refused(api.stacks.deployStack(caller, request({ networks: [network('shop_front')], ...bad })), words);
    assert.equal(view.count('service') + view.count('network') + view.count('secret') + view.count('stack'), 0);
  });

  it('an update that would close a circle is refused; a deployment may turn one around', async () => {
    const { api, view } = setUp();
    await api.stacks.deployStack(caller, request({ services: [service('a', { dependsOn: ['b'] }), service('b')] }));
    const { id, version } = named(view, 'b');
    const spec = service('b', { dependsOn: ['a'] });
    const update = UpdateServiceRequest.create({ id, version, spec });
    await refused(api.updateService(caller, update), /would wait for each other: shop_b -> shop_a -> shop_b/);
    const turned = [service('a'), service('b', { dependsOn: ['a'] })];
    const { changes } = await api.stacks.deployStack(caller, request({ services: turned }));
    assert.deepEqual(actions(changes), ['~shop_a', '~shop_b']);
    assert.deepEqual([named(view, 'a').revision, named(view, 'b').revision], [1, 1]);
  });

  it("what is another's is not touched", async () => {
    const { api } = setUp();
    const foreign = { ...service('db'), labels: {} };
    await api.createService(caller, CreateServiceRequest.create({ spec: foreign }));
    await refused(
      api.stacks.deployStack(caller, request({ services: [service('db')] })),
      /service shop_db exists and is not of stack shop/,
    );
    await api.createNetwork(
      caller,
      CreateNetworkRequest.create({
        spec: NetworkSpec.create({ name: 'front', labels: { 'com.docker.stack.namespace': 'other' } }),
      }),
    );
    await refused(
      api.stacks.deployStack(caller, request({ networks: [network('front')], services: [service('web')] })),
      /network front .* but of other/,
    );
  });

  it('a network is updated where it can be, and the conflict is named where it cannot', async () => {
    const { api, view } = setUp();
    await api.stacks.deployStack(caller, request(WHOLE));
    const labelled = network('shop_front', { labels: { ...LABELS, tier: 'a' } });
    const { changes } = await api.stacks.deployStack(caller, request({ ...WHOLE, networks: [labelled] }));
    assert.deepEqual(
      changes[0]?.fields.map(({ path }) => path),
      ['labels[tier]'],
    );
    await refused(
      api.stacks.deployStack(caller, request({ ...WHOLE, networks: [network('shop_front', { internal: true })] })),
      /internal: cannot be changed/,
    );
    assert.equal([...view.all('network')][0]?.spec?.internal, false);
  });

  it('what left the file stays without prune, and leaves with it; what comes back meanwhile is kept', async () => {
    const { api, view } = setUp();
    await api.stacks.deployStack(caller, request(WHOLE));
    const kept = await api.stacks.deployStack(caller, request({ services: [service('db')] }));
    assert.equal(kept.stack?.serviceIds.length, 2);
    const pruned = await api.stacks.deployStack(caller, request({ services: [service('db')], prune: true }));
    assert.deepEqual(actions(pruned.changes), ['=shop_db', '-shop_web', '-shop_front', '-shop_token']);
    assert.deepEqual(pruned.stack?.leaving?.serviceIds, [named(view, 'web').id]);
    assert.equal(named(view, 'web').pendingDelete, true);
    await refused(api.stacks.deployStack(caller, request(WHOLE)), /service shop_web is being removed/);
    const { stack } = await api.stacks.deployStack(
      caller,
      request({ services: [service('db')], networks: [network('shop_front')] }),
    );
    assert.deepEqual([stack?.leaving?.networkIds, stack?.networkIds.length], [[], 1]);
  });

  it('a stack that is being removed is not deployed; one that others use is not removed', async () => {
    const { api, view } = setUp();
    await api.stacks.deployStack(caller, request(WHOLE));
    const other = ServiceSpec.create({ ...service('x', { networks: ['shop_front'] }), name: 'guest', labels: {} });
    await api.createService(caller, CreateServiceRequest.create({ spec: other }));
    await refused(
      api.stacks.removeStack(caller, { reference: 'shop', volumes: false }),
      /in use by service guest, which is not of it/,
    );
    await api.removeService(caller, { reference: 'guest' });
    const { stack } = await api.stacks.removeStack(caller, { reference: 'shop', volumes: true });
    assert.deepEqual([stack?.state, stack?.removeVolumes], [StackState.REMOVING, true]);
    assert.ok(named(view, 'db').pendingDelete && named(view, 'web').pendingDelete);
    await refused(api.stacks.deployStack(caller, request(WHOLE)), /stack shop is being removed/);
    await refused(api.stacks.getStack(caller, { reference: 'ghost' }), /stack ghost not found/);
  });

  it('images are asked for always, when they changed, or never; an unchanged one is kept when nobody answers', async () => {
    let answers = true;
    const digest = `sha256:${'a'.repeat(64)}`;
    const { api, view, asked } = setUp(async () => {
      if (answers) return { digest, platforms: [] };
      throw new SwarmError({ code: 'unavailable', reason: 'registry-unreachable', message: 'gone' });
    });
    const deploy = (resolveImage: string, image = 'busybox:1') =>
      api.stacks.deployStack(caller, request({ services: [service('db', { image })], resolveImage }));
    const image = () => named(view, 'db').spec?.task?.container?.image;
    await deploy('always');
    assert.equal(image(), `busybox:1@${digest}`);
    await deploy('changed');
    await deploy('never');
    assert.equal(asked.length, 1);
    assert.equal(image(), `busybox:1@${digest}`);
    answers = false;
    const { warnings, changes } = await deploy('always');
    assert.match(warnings.join(), /could not be accessed/);
    assert.deepEqual(actions(changes), ['=shop_db']);
    answers = true;
    await deploy('changed', 'busybox:2');
    assert.equal(image(), `busybox:2@${digest}`);
    await refused(deploy('sometimes'), /resolve-image: "sometimes" is not known/);
  });

  it('a refusal names the one that it is about, in words and in its field, and nothing is done', async () => {
    const { api, view } = setUp();
    const bad = service('bad');
    const container = { ...(bad.task?.container ?? ContainerSpec.create()), dir: 'somewhere' };
    const cases: readonly (readonly [Partial<DeployStackRequest>, RegExp, string])[] = [
      [
        { services: [service('good'), { ...bad, task: TaskSpec.create({ ...bad.task, container }) }] },
        /^service shop_bad: workdir: "somewhere" is not an absolute path$/,
        'services[shop_bad].dir',
      ],
      [
        { networks: [network('shop_n', { driver: 'nosuch' })], services: [service('good')] },
        /^network shop_n: .*nosuch/,
        'networks[shop_n].driver',
      ],
      [
        { secrets: [secret('shop_s', '')], services: [service('good')] },
        /^secret shop_s: data: .*larger than 0/,
        'secrets[shop_s].data',
      ],
    ];
    for (const [init, words, field] of cases)
      await assert.rejects(api.stacks.deployStack(caller, request(init)), (thrown) => {
        assert.ok(thrown instanceof SwarmError);
        assert.match(thrown.message, words);
        assert.equal(thrown.field, field);
        return true;
      });
    assert.deepEqual([view.count('service'), view.count('network'), view.count('secret')], [0, 0, 0]);
  });

  it('needs the feature level', async () => {
    const { api, view } = setUp();
    const cluster = view.cluster() as Cluster;
    view.commit([{ kind: 'update', table: 'cluster', object: { ...cluster, featureLevel: SERVICES_LEVEL - 1 } }]);
    await refused(api.stacks.deployStack(caller, request({ services: [service('db')] })), /needs feature level/);
  });
});
