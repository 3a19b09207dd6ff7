/**
 * Goal: secrets and configs are taken as Swarm takes them, get versions, are kept while somebody needs them, and say nothing
 * of what secrets hold. Method: the real API on a plain store; every rule has an example that breaks it, and rubbish in every
 * field is refused by its name with nothing written.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { CreateServiceRequest, UpdateServiceRequest } from '#gen/swarm/v1/control.ts';
import { Cluster, type Config, ConfigSpec, type Secret, SecretSpec } from '#gen/swarm/v1/objects.ts';
import {
  CreateConfigRequest,
  CreateSecretRequest,
  GetConfigRequest,
  ListSecretsRequest,
  PruneSecretsRequest,
  UpdateSecretRequest,
} from '#gen/swarm/v1/secrets.ts';
import {
  ClusterSpec,
  ConfigReference,
  ContainerSpec,
  FileTarget,
  Mount,
  MountType,
  ReplicatedMode,
  SecretReference,
  ServiceSpec,
  TaskSpec,
} from '#gen/swarm/v1/specs.ts';
import type { ControlApi } from '#manager/control/index.ts';
import { memoryApi } from '#test/fixtures/memory-api.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const caller = { author: 'test' };
const HIDDEN = 'hunter2-the-secret';

class World {
  readonly view = new MemoryView();
  readonly api: ControlApi;

  constructor(featureLevel = 4) {
    const { view } = this;
    const object = Cluster.create({ id: 'c', featureLevel, spec: ClusterSpec.create() });
    view.commit([{ kind: 'create', table: 'cluster', object }]);
    this.api = memoryApi(view);
  }

  async secret(name: string, data: string | Uint8Array = HIDDEN, rest: Partial<SecretSpec> = {}): Promise<Secret> {
    const spec = SecretSpec.create({ name, ...rest });
    const { secret } = await this.api.payloads.createSecret(
      caller,
      CreateSecretRequest.create({ spec, data: Buffer.from(data) }),
    );
    assert.ok(secret !== undefined);
    return secret;
  }

  async config(name: string, data = 'text'): Promise<Config> {
    const spec = ConfigSpec.create({ name });
    const { config } = await this.api.payloads.createConfig(
      caller,
      CreateConfigRequest.create({ spec, data: Buffer.from(data) }),
    );
    assert.ok(config !== undefined);
    return config;
  }

  async update(
    name: string,
    data: string | undefined,
    labels?: Readonly<Record<string, string>>,
  ): Promise<readonly string[]> {
    const { secret } = await this.api.payloads.getSecret(caller, { reference: name });
    assert.ok(secret?.spec !== undefined);
    const { id, version } = secret;
    const spec = labels === undefined ? undefined : { ...secret.spec, labels };
    const bytes = data === undefined ? undefined : Buffer.from(data);
    const request = UpdateSecretRequest.create({ id, version, spec, data: bytes });
    return (await this.api.payloads.updateSecret(caller, request)).following;
  }

  async service(
    name: string,
    container: Partial<ContainerSpec>,
  ): Promise<{ spec: ServiceSpec; warnings: readonly string[] }> {
    const request = CreateServiceRequest.create({ spec: serviceSpec(name, container) });
    const { service, warnings } = await this.api.createService(caller, request);
    assert.ok(service?.spec !== undefined);
    return { spec: service.spec, warnings };
  }
}

function serviceSpec(name: string, container: Partial<ContainerSpec>): ServiceSpec {
  return ServiceSpec.create({
    name,
    mode: { kind: 'replicated', value: ReplicatedMode.create({ replicas: 1 }) },
    task: TaskSpec.create({ container: ContainerSpec.create({ image: 'busybox', ...container }) }),
  });
}

const secret = (init: Partial<SecretReference>): SecretReference =>
  SecretReference.create({ secretName: 'db', ...init });
const file = (init: Partial<FileTarget>): FileTarget => FileTarget.create(init);

async function refusal(work: Promise<unknown>): Promise<SwarmError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof SwarmError, `refused: ${String(error)}`);
  assert.ok(!`${error.message} ${error.hint}`.includes(HIDDEN), error.message);
  assert.notEqual(error.hint, undefined, error.message);
  return error;
}

describe('control API: secrets and configs', () => {
  it('have a first version, and are found by name, id and prefix', async () => {
    const world = new World();
    const { id, versions } = await world.secret('db');
    assert.deepEqual(
      versions.map(({ number, createdBy, sizeBytes }) => [number, createdBy, sizeBytes]),
      [[1, 'test', HIDDEN.length]],
    );
    for (const reference of ['db', 'DB', id, id.slice(0, 6)])
      assert.equal((await world.api.payloads.getSecret(caller, { reference })).secret?.id, id);
    assert.equal((await refusal(world.api.payloads.getSecret(caller, { reference: 'x' }))).reason, 'unknown-object');
    assert.equal((await refusal(world.secret('DB'))).reason, 'duplicate-name');
    await world.config('db');
  });

  it('are read back only where they are configs', async () => {
    const world = new World();
    await world.secret('db');
    await world.config('app', 'hello');
    const { data } = await world.api.payloads.getConfig(caller, GetConfigRequest.create({ reference: 'app' }));
    assert.equal(Buffer.from(data).toString(), 'hello');
    const read = await world.api.payloads.getSecret(caller, { reference: 'db' });
    const listed: unknown[] = [];
    for await (const page of world.api.payloads.listSecrets(caller, ListSecretsRequest.create())) listed.push(page);
    const shown = JSON.stringify([read, listed]);
    assert.ok(!shown.includes(HIDDEN) && !shown.includes([...Buffer.from(HIDDEN)].join(',')));
  });

  it('need a level that every manager understands', async () => {
    assert.equal((await refusal(new World(3).secret('db'))).reason, 'feature-level');
  });

  it('are refused where their name, size, labels or template are not right', async () => {
    const world = new World();
    const bad: readonly (readonly [Promise<unknown>, string])[] = [
      ...['', '-a', 'a-', 'a b', 'a/b', 'ä', 'x'.repeat(65)].map((name) => [world.secret(name), 'name'] as const),
      [world.secret('db', ''), 'data'],
      [world.secret('db', Buffer.alloc(LIMITS.SECRET_BYTES + 1)), 'data'],
      [world.secret('db', HIDDEN, { labels: { '': 'x' } }), 'labels'],
      [world.secret('db', HIDDEN, { templateDriver: 'jinja' }), 'template-driver'],
      [world.secret('db', `{{.${HIDDEN}}}`.replaceAll('-', ''), { templateDriver: 'golang' }), 'data'],
      [world.secret('db', `${HIDDEN} {{if}}`, { templateDriver: 'golang' }), 'data'],
      [world.secret('db', Buffer.from([0xff, 0xfe]), { templateDriver: 'golang' }), 'data'],
    ];
    for (const [work, field] of bad) assert.equal((await refusal(work)).field, field);
    assert.equal(world.view.count('secret') + world.view.count('secretVersion'), 0);
    await world.secret('a.b_c-d', Buffer.alloc(LIMITS.SECRET_BYTES, 1));
  });

  it('get a new version from other data, and none from the same', async () => {
    const world = new World();
    await world.secret('db', 'one');
    await world.update('db', 'one');
    await world.update('db', 'two');
    await world.update('db', undefined, { team: 'a' });
    await world.update('db', 'one');
    const { secret: now } = await world.api.payloads.getSecret(caller, { reference: 'db' });
    assert.deepEqual(
      now?.versions.map(({ number }) => number),
      [1, 2, 3],
    );
    assert.deepEqual(now?.spec?.labels, { team: 'a' });
    const stale = UpdateSecretRequest.create({ id: now?.id ?? '', version: 1, data: Buffer.from('x') });
    assert.equal((await refusal(world.api.payloads.updateSecret(caller, stale))).reason, 'out-of-sequence');
    const renamed = UpdateSecretRequest.create({
      id: now?.id ?? '',
      version: now?.version ?? 0,
      spec: SecretSpec.create({ name: 'x' }),
    });
    assert.equal((await refusal(world.api.payloads.updateSecret(caller, renamed))).field, 'name');
  });

  it('name the services that a new version leads on', async () => {
    const world = new World();
    await world.secret('db', 'one');
    await world.service('web', { secrets: [secret({ follow: true })] });
    await world.service('pinned', { secrets: [secret({ number: 1 })] });
    assert.deepEqual(await world.update('db', 'two'), ['web']);
  });

  it('stay while a service has them; prune takes the others, and versions that nothing has', async () => {
    const world = new World();
    await world.secret('db', 'one');
    for (const data of ['two', 'three', 'four']) await world.update('db', data);
    await world.secret('spare', 'x', { labels: { old: '' } });
    await world.service('web', { secrets: [secret({ number: 2 })] });
    const inUse = await refusal(world.api.payloads.removeSecret(caller, { reference: 'db' }));
    assert.match(inUse.message, /secret 'db' is in use by the following service: web/);
    const { users } = await world.api.payloads.getSecret(caller, { reference: 'db' });
    assert.deepEqual(
      users.map(({ serviceName, numbers, follows }) => [serviceName, numbers, follows]),
      [['web', [2], false]],
    );
    const prune = (init: Partial<PruneSecretsRequest>) =>
      world.api.payloads.pruneSecrets(caller, PruneSecretsRequest.create(init));
    assert.deepEqual(await prune({ labels: ['new'] }), { removed: [], removedVersions: 0 });
    assert.deepEqual(await prune({}), { removed: ['spare'], removedVersions: 0 });
    assert.deepEqual(await prune({ keepVersions: 1 }), { removed: [], removedVersions: 2 });
    const { secret: left } = await world.api.payloads.getSecret(caller, { reference: 'db' });
    assert.deepEqual(
      left?.versions.map(({ number }) => number),
      [2, 4],
    );
    assert.equal(world.view.count('secretVersion'), 2);
  });

  it('are removed with all their versions', async () => {
    const world = new World();
    await world.secret('db', 'one');
    await world.update('db', 'two');
    await world.api.payloads.removeSecret(caller, { reference: 'db' });
    assert.equal(world.view.count('secret') + world.view.count('secretVersion'), 0);
  });
});

describe('control API: references to secrets and configs', () => {
  it('get id, name, version and file of what they mean', async () => {
    const world = new World();
    const { id } = await world.secret('db', 'one');
    await world.update('db', 'two');
    const app = await world.config('app');
    const { spec, warnings } = await world.service('web', {
      secrets: [
        secret({ follow: true }),
        secret({ secretName: '', secretId: id.slice(0, 8), number: 1, file: file({ path: '/x' }) }),
      ],
      configs: [ConfigReference.create({ configId: app.id, file: file({ path: 'sub/app', uid: '7', mode: 0o400 }) })],
    });
    const container = spec.task?.container;
    assert.deepEqual(
      container?.secrets.map(({ secretId, secretName, number, follow, file: at }) => [
        secretId,
        secretName,
        number,
        follow,
        at?.path,
      ]),
      [
        [id, 'db', 2, true, 'db'],
        [id, 'db', 1, false, '/x'],
      ],
    );
    assert.deepEqual(
      container?.configs.map(({ configId, configName, number, file: at }) => [configId, configName, number, at?.path]),
      [[app.id, 'app', 1, 'sub/app']],
    );
    assert.deepEqual(warnings, []);
  });

  it('to the environment are warned of, and need no file', async () => {
    const world = new World();
    await world.secret('db');
    const { spec, warnings } = await world.service('web', { secrets: [secret({ env: 'DB' })] });
    assert.equal(spec.task?.container?.secrets[0]?.file, undefined);
    assert.match(warnings[0] ?? '', /secret db is put into the environment variable DB/);
  });

  it('are refused where there is no such thing, or no place for it', async () => {
    const world = new World();
    await world.secret('db');
    await world.secret('bin', Buffer.from([1, 0, 2]));
    const at = (init: Partial<FileTarget>) => ({ secrets: [secret({ file: file(init) })] });
    const mounts = [Mount.create({ type: MountType.TMPFS, target: '/run/secrets/db' })];
    const bad: readonly (readonly [Partial<ContainerSpec>, string])[] = [
      [{ secrets: [secret({ secretName: 'none' })] }, 'secret'],
      [{ secrets: [secret({ secretName: '' })] }, 'secret'],
      [{ secrets: [secret({ number: 9 })] }, 'secret.version'],
      [{ secrets: [secret({}), secret({})] }, 'secret.target'],
      [{ secrets: [secret({}), secret({ file: file({ path: '/run//secrets/db' }) })] }, 'secret.target'],
      [{ secrets: [secret({})], mounts }, 'secret.target'],
      [{ secrets: [secret({ env: 'DB' })], env: ['DB=x'] }, 'secret.env'],
      [{ secrets: [secret({ env: '1DB' })] }, 'secret.env'],
      [{ secrets: [secret({ secretName: 'bin', env: 'DB' })] }, 'secret.env'],
      [at({ path: '../x' }), 'secret.target'],
      [at({ path: '/proc/x' }), 'secret.target'],
      [at({ path: 'x/' }), 'secret.target'],
      [at({ path: 'a\0b' }), 'secret.target'],
      [at({ uid: 'root' }), 'secret.uid'],
      [at({ gid: '4294967295' }), 'secret.gid'],
      [at({ mode: 0o10000 }), 'secret.mode'],
      [{ secrets: Array.from({ length: 129 }, (_, n) => secret({ file: file({ path: `f${n}` }) })) }, 'secret'],
    ];
    for (const [container, field] of bad)
      assert.equal(
        String((await refusal(world.service('web', container))).field),
        field,
        JSON.stringify(container).slice(0, 200),
      );
    assert.equal(world.view.count('service') + world.view.count('revision'), 0);
  });

  it('stay at their version when the service is updated, and take the newest when they name none', async () => {
    const world = new World();
    await world.secret('db', 'one');
    await world.service('web', { secrets: [secret({})] });
    await world.update('db', 'two');
    const numberAfter = async (change: Partial<ContainerSpec>): Promise<number | undefined> => {
      const { service } = await world.api.getService(caller, { reference: 'web' });
      const before = service?.spec?.task;
      assert.ok(service?.spec !== undefined && before?.container !== undefined);
      const spec = { ...service.spec, task: { ...before, container: { ...before.container, ...change } } };
      const request = UpdateServiceRequest.create({ id: service.id, version: service.version, spec });
      const updated = await world.api.updateService(caller, request);
      return updated.service?.spec?.task?.container?.secrets[0]?.number;
    };
    assert.equal(await numberAfter({ env: ['X=1'] }), 1);
    assert.equal(await numberAfter({ secrets: [secret({})] }), 2);
  });

  it('of rubbish are refused by the name of their field, with nothing written, or are harmless', async () => {
    const world = new World();
    await world.secret('db');
    const text = fc.oneof(
      fc.string({ maxLength: 20 }),
      fc.constantFrom('db', '', '/', '..', '/etc', '\0', '0', '-1', 'DB'),
    );
    const rubbish = fc.record({
      secretId: fc.oneof(fc.constant(''), text),
      secretName: fc.oneof(fc.constant('db'), text),
      number: fc.constantFrom(0, 1, 2, 2 ** 53 - 1),
      follow: fc.boolean(),
      env: text,
      file: fc.option(
        fc.record({
          path: text,
          uid: text,
          gid: text,
          mode: fc.option(fc.nat({ max: 2 ** 32 - 1 }), { nil: undefined }),
        }),
        { nil: undefined },
      ),
    });
    let count = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(rubbish, { minLength: 1, maxLength: 3 }), async (references) => {
        const before = world.view.version;
        const secrets = references.map((one) =>
          SecretReference.create({ ...one, file: one.file && FileTarget.create(one.file) }),
        );
        const failure = await world.service(`s${count++}`, { secrets }).then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        if (failure === undefined) return;
        assert.ok(failure instanceof SwarmError, String(failure));
        assert.notEqual(failure.code, 'internal', failure.message);
        assert.notEqual(failure.hint, undefined);
        assert.equal(world.view.version, before);
      }),
      { numRuns: 300 },
    );
  });
});
