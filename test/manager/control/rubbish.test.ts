/**
 * Goal: rubbish in any field of any spec is refused in words that name the field, or taken and then harmless; nothing
 * is half applied. Method: the contract is walked field by field, with what people and broken programs send, and random
 * specs on top; what is taken goes through the scheduler, the agent's mapping and the printing, as it would in a swarm.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { mapAssignment } from '#agent/executor/oci/map-assignment.ts';
import { SwarmError } from '#common/errors.ts';
import { encodeJson } from '#common/template/encode-json.ts';
import {
  CreateNetworkRequest,
  CreateServiceRequest,
  UpdateClusterRequest,
  UpdateServiceRequest,
} from '#gen/swarm/v1/control.ts';
import {
  Cluster,
  ConfigSpec,
  JoinTokens,
  Node,
  NodeDescription,
  NodeState,
  NodeStatus,
  RootCa,
  SecretSpec,
  StackSpec,
  Task,
  VolumeSpec,
} from '#gen/swarm/v1/objects.ts';
import {
  ClusterPolicy,
  ClusterSpec,
  ContainerSpec,
  IpamSpec,
  IpamSubnet,
  NetworkSpec,
  ServiceSpec,
  TaskSpec,
} from '#gen/swarm/v1/specs.ts';
import { DeployStackRequest, StackConfig, StackSecret } from '#gen/swarm/v1/stacks.ts';
import type { ControlApi } from '#manager/control/index.ts';
import { compileRequest } from '#manager/scheduler/placement-request.ts';
import { prettyService } from '#src/cli/commands/service/pretty-service.ts';
import { serviceSpecShape } from '#src/docker-shape/from-specs.ts';
import { SERVICE_SPEC } from '#src/docker-shape/swarm-types.ts';
import { FEATURE_LEVEL } from '#src/swarmd/version.ts';
import { memoryApi } from '#test/fixtures/memory-api.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';
import type { AnyMessage } from '#test/proto/support/generated.ts';
import { loadContract, messageOf } from '#test/proto/support/reflection.ts';
import { rubbishOf } from './rubbish-values.ts';

const CALLER = { author: 'test' };
const POLICY = ClusterPolicy.create({
  allowPrivileged: true,
  allowDevices: true,
  allowHostNamespaces: true,
  allowUnconfined: true,
});
const CONTRACT = loadContract();

function setUp(): { readonly api: ControlApi; readonly view: MemoryView } {
  const view = new MemoryView();
  const joinTokens = JoinTokens.create({ worker: 'w', manager: 'm' });
  const cluster = Cluster.create({
    id: 'c',
    spec: ClusterSpec.create({ name: 'default', policy: POLICY }),
    rootCa: RootCa.create({ digest: 'd', keyPem: Buffer.from('key'), joinTokens }),
    snapshotKey: new Uint8Array(32),
    featureLevel: FEATURE_LEVEL,
  });
  const node = Node.create({
    id: 'self',
    status: NodeStatus.create({ state: NodeState.READY }),
    description: NodeDescription.create({ featureLevel: FEATURE_LEVEL }),
  });
  view.commit([
    { kind: 'create', table: 'cluster', object: cluster },
    { kind: 'create', table: 'node', object: node },
  ]);
  const api = memoryApi(view);
  return { api, view };
}

const BASE = ServiceSpec.create({
  name: 'web',
  mode: { kind: 'replicated', value: { replicas: 1 } },
  task: TaskSpec.create({ container: ContainerSpec.create({ image: 'busybox:latest' }) }),
});

/** Words of a path or a field, in the singular. */
function wordsOf(text: string): readonly string[] {
  return text
    .replace(/[A-Z]/g, ' $&')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .map((word) => word.replace(/ies$/, 'y').replace(/s$/, ''))
    .filter((word) => word !== '');
}

/** What users call a field of the contract whose name shares no word with theirs. */
const OTHER_NAMES: Readonly<Record<string, readonly string[]>> = {
  port: ['publish'],
  task: ['spec'],
  container: ['spec'],
  command: ['arg'],
  option: ['opt'],
  replicated: ['mode'],
  global: ['mode'],
  healthcheck: ['health'],
  completion: ['replica'],
  capability: ['capabilitie'],
};

function isNamed(path: string, field: string): boolean {
  const named = new Set(wordsOf(field));
  if (path.endsWith('.*')) return field !== '';
  return wordsOf(path).some((word) => named.has(word) || OTHER_NAMES[word]?.some((other) => named.has(other)));
}

/** As it comes off the wire: numbers of enums that are not known are left out there. */
function sent<T>(codec: { encode(message: T): Uint8Array; decode(bytes: Uint8Array): T }, message: AnyMessage): T {
  return codec.decode(codec.encode(message as T));
}

/** What came of one call; refusals are looked at closely. */
async function attempt(view: MemoryView, path: string, value: unknown, call: () => Promise<unknown>): Promise<boolean> {
  const before = view.version;
  const shown = `${path} = ${(JSON.stringify(value) ?? 'undefined').slice(0, 80)}`;
  try {
    await call();
    return true;
  } catch (error) {
    assert.ok(error instanceof SwarmError, `${shown}: ${String(error)} ${(error as Error).stack}`);
    assert.notEqual(error.code, 'internal', `${shown}: ${error.message}`);
    assert.notEqual(error.hint ?? '', '', `${shown}: no way out of ${error.message}`);
    assert.ok(error.message.length < 2100, `${shown}: an error of ${error.message.length} characters`);
    assert.doesNotMatch(error.message, /[\0\u001b]/, `${shown}: control characters in the error`);
    assert.ok(isNamed(path, error.field ?? ''), `${shown}: the field is not named, ${error.field}: ${error.message}`);
    assert.equal(view.version, before, `${shown}: refused, and yet something was written`);
    return false;
  }
}

/** A service that was taken is scheduled, mapped and printed without a failure that is not told. */
function mustBeHarmless(view: MemoryView, path: string): void {
  for (const service of view.all('service')) {
    const revision = view.revision(service.id, service.revision);
    assert.ok(revision?.spec !== undefined && service.spec !== undefined, path);
    compileRequest(revision);
    assert.deepEqual(ServiceSpec.decode(ServiceSpec.encode(service.spec)), service.spec, path);
    encodeJson(SERVICE_SPEC, serviceSpecShape(service.spec));
    prettyService(service, new Map(), 0);
    const task = Task.create({ id: 'a'.repeat(25), serviceId: service.id, slot: 1 });
    try {
      mapAssignment({ task, spec: revision.spec, node: { id: 'n', hostname: 'h' } }, 'amd64');
    } catch (error) {
      assert.ok(error instanceof SwarmError && error.code !== 'internal', `${path}: ${(error as Error).stack}`);
    }
  }
}

interface Case {
  readonly type: string;
  /** A message of the type that is taken as it is. */
  readonly base: object;
  /** What is there before. */
  readonly prepare?: (api: ControlApi) => Promise<unknown>;
  readonly call: (api: ControlApi, message: AnyMessage, view: MemoryView) => Promise<unknown>;
  readonly after?: (view: MemoryView, path: string) => void;
  /** Paths of which every eighth is enough: they were walked in full elsewhere. */
  readonly sampled?: string;
}

/** Every field of the type with every value, each on a swarm of its own: how many were taken and refused. */
async function everyField({ type, base, prepare, call, after, sampled }: Case) {
  let [taken, refused, seen] = [0, 0, 0];
  for (const { path, value, message } of rubbishOf(CONTRACT.lookupType(type), base as AnyMessage)) {
    if (sampled !== undefined && path.startsWith(sampled) && seen++ % 8 > 0) continue;
    const { api, view } = setUp();
    await prepare?.(api);
    if (await attempt(view, path, value, () => call(api, message, view))) {
      taken++;
      after?.(view, path);
    } else refused++;
  }
  return { taken, refused };
}

describe('control API: rubbish', function () {
  this.timeout(120_000);

  it('in every field of a new service', async () => {
    const { taken, refused } = await everyField({
      type: 'swarm.v1.ServiceSpec',
      base: BASE,
      call: (api, message) =>
        api.createService(CALLER, CreateServiceRequest.create({ spec: sent(ServiceSpec, message) })),
      after: mustBeHarmless,
    });
    assert.ok(taken > 500 && refused > 1000, `${taken} taken, ${refused} refused`);
  });

  it('in every field of a service that is changed', async () => {
    const { taken, refused } = await everyField({
      type: 'swarm.v1.ServiceSpec',
      base: BASE,
      sampled: '',
      prepare: (api) => api.createService(CALLER, CreateServiceRequest.create({ spec: BASE })),
      call: (api, message, view) => {
        const [service] = view.all('service');
        const { id = '', version = 0 } = service ?? {};
        return api.updateService(
          CALLER,
          UpdateServiceRequest.create({ id, version, spec: sent(ServiceSpec, message) }),
        );
      },
      after: mustBeHarmless,
    });
    assert.ok(taken > 50 && refused > 100, `${taken} taken, ${refused} refused`);
  });

  it('in every field of a network, the swarm, secrets, configs and volumes', async () => {
    const data = new Uint8Array([1]);
    const named = { name: 'n' };
    const cases: readonly Case[] = [
      {
        type: 'swarm.v1.NetworkSpec',
        base: NetworkSpec.create({
          ...named,
          ipam: IpamSpec.create({ subnets: [IpamSubnet.create({ subnet: '10.9.0.0/24' })] }),
        }),
        call: (api, message) =>
          api.createNetwork(CALLER, CreateNetworkRequest.create({ spec: sent(NetworkSpec, message) })),
      },
      {
        type: 'swarm.v1.ClusterSpec',
        base: ClusterSpec.create(named),
        call: (api, message, view) => {
          const version = view.cluster()?.version ?? 0;
          return api.updateCluster(CALLER, UpdateClusterRequest.create({ version, spec: sent(ClusterSpec, message) }));
        },
      },
      {
        type: 'swarm.v1.SecretSpec',
        base: SecretSpec.create(named),
        call: (api, message) => api.payloads.createSecret(CALLER, { spec: sent(SecretSpec, message), data }),
      },
      {
        type: 'swarm.v1.ConfigSpec',
        base: ConfigSpec.create(named),
        call: (api, message) => api.payloads.createConfig(CALLER, { spec: sent(ConfigSpec, message), data }),
      },
      {
        type: 'swarm.v1.VolumeSpec',
        base: VolumeSpec.create(named),
        call: (api, message) => api.volumes.create(CALLER, { spec: sent(VolumeSpec, message), node: 'self' }),
      },
    ];
    for (const one of cases) {
      const { taken, refused } = await everyField(one);
      assert.ok(taken > 0 && refused > 10, `${one.type}: ${taken} taken, ${refused} refused`);
    }
  });

  it('in every field of a stack and of what it brings', async () => {
    const data = new Uint8Array([1]);
    const base = DeployStackRequest.create({
      spec: StackSpec.create({ name: 'shop' }),
      services: [{ ...BASE, name: 'shop_web' }],
      networks: [NetworkSpec.create({ name: 'shop_net' })],
      secrets: [StackSecret.create({ spec: SecretSpec.create({ name: 'shop_secret' }), data })],
      configs: [StackConfig.create({ spec: ConfigSpec.create({ name: 'shop_config' }), data })],
      volumes: [VolumeSpec.create({ name: 'shop_data' })],
    });
    const { taken, refused } = await everyField({
      type: 'swarm.v1.DeployStackRequest',
      base,
      sampled: 'services[].',
      call: (api, message) => api.stacks.deployStack(CALLER, sent(DeployStackRequest, message)),
    });
    assert.ok(taken > 100 && refused > 100, `${taken} taken, ${refused} refused`);
  });

  it('in all fields at once', async () => {
    const random = messageOf(CONTRACT.lookupType('swarm.v1.ServiceSpec'), 4);
    await fc.assert(
      fc.asyncProperty(random, async (message) => {
        const { api, view } = setUp();
        const spec = sent(ServiceSpec, message);
        const create = () => api.createService(CALLER, CreateServiceRequest.create({ spec }));
        if (await attempt(view, 'spec.*', '', create)) mustBeHarmless(view, 'spec');
      }),
      { numRuns: 300 },
    );
  });
});
