/**
 * Goal: nothing beyond a plain container runs unless the swarm's policy says so, whatever door it comes through; the
 * refusal says how it is allowed. Method: every option that has a rule, with each of the flags; the real API.
 */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { RunContainerRequest } from '#gen/swarm/v1/containers.ts';
import { CreateServiceRequest, UpdateClusterRequest } from '#gen/swarm/v1/control.ts';
import { Cluster, Node, NodeDescription, NodeState, NodeStatus, StackSpec } from '#gen/swarm/v1/objects.ts';
import {
  ClusterPolicy,
  ClusterSpec,
  ContainerSpec,
  DeviceMapping,
  SeccompMode,
  SecurityOptions,
  ServiceSpec,
  TaskSpec,
} from '#gen/swarm/v1/specs.ts';
import { DeployStackRequest } from '#gen/swarm/v1/stacks.ts';
import type { ControlApi } from '#manager/control/index.ts';
import { memoryApi } from '#test/fixtures/memory-api.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const CALLER = { author: 'test' };
type Flag = 'allowPrivileged' | 'allowDevices' | 'allowHostNamespaces' | 'allowUnconfined';
const FLAGS: Readonly<Record<Flag, string>> = {
  allowPrivileged: 'allow-privileged',
  allowDevices: 'allow-devices',
  allowHostNamespaces: 'allow-host-namespaces',
  allowUnconfined: 'allow-unconfined',
};

function setUp(policy?: Partial<ClusterPolicy>): { readonly api: ControlApi; readonly view: MemoryView } {
  const view = new MemoryView();
  const declared = policy === undefined ? {} : { policy: ClusterPolicy.create(policy) };
  const cluster = Cluster.create({
    id: 'c',
    spec: ClusterSpec.create({ name: 'default', ...declared }),
    featureLevel: 4,
  });
  const node = Node.create({
    id: 'self',
    status: NodeStatus.create({ state: NodeState.READY }),
    description: NodeDescription.create({ featureLevel: 4 }),
  });
  view.commit([
    { kind: 'create', table: 'cluster', object: cluster },
    { kind: 'create', table: 'node', object: node },
  ]);
  const api = memoryApi(view);
  return { api, view };
}

function service(container: Partial<ContainerSpec>): ServiceSpec {
  return ServiceSpec.create({
    name: 'it',
    mode: { kind: 'replicated', value: { replicas: 1 } },
    task: TaskSpec.create({ container: ContainerSpec.create({ image: 'busybox:1', ...container }) }),
  });
}

const security = (part: Partial<SecurityOptions>): Partial<ContainerSpec> => ({
  security: SecurityOptions.create(part),
});
const PROFILE = '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]}';

const ASKING: readonly (readonly [what: string, flag: Flag, field: string, container: Partial<ContainerSpec>])[] = [
  ['privileged', 'allowPrivileged', 'privileged', { privileged: true }],
  ['a device', 'allowDevices', 'device', { devices: [DeviceMapping.create({ pathOnHost: '/dev/fuse' })] }],
  ['a device rule', 'allowDevices', 'device-cgroup-rule', { deviceCgroupRules: ['c 1:* r'] }],
  ['the pid namespace', 'allowHostNamespaces', 'pid', { pidMode: 'host' }],
  ['the ipc namespace', 'allowHostNamespaces', 'ipc', { ipcMode: 'host' }],
  ['the uts namespace', 'allowHostNamespaces', 'uts', { utsMode: 'host' }],
  ['the user namespace', 'allowHostNamespaces', 'userns', { usernsMode: 'host' }],
  ['the cgroup namespace', 'allowHostNamespaces', 'cgroupns', { cgroupnsMode: 'host' }],
  ['no seccomp', 'allowUnconfined', 'security-opt', security({ seccomp: SeccompMode.UNCONFINED })],
  [
    'its own seccomp',
    'allowUnconfined',
    'security-opt',
    security({ seccomp: SeccompMode.CUSTOM, seccompProfile: PROFILE }),
  ],
  ['no AppArmor', 'allowUnconfined', 'security-opt', security({ apparmor: 'unconfined' })],
  ['no SELinux', 'allowUnconfined', 'security-opt', security({ selinuxLabels: { disable: '' } })],
  ['another SELinux type', 'allowUnconfined', 'security-opt', security({ selinuxLabels: { type: 'spc_t' } })],
  ['open system paths', 'allowUnconfined', 'security-opt', security({ systemPathsUnconfined: true })],
  ['words to the runtime', 'allowUnconfined', 'annotation', { annotations: { 'run.oci.handler': 'krun' } }],
];

describe('cluster policy', () => {
  for (const [what, flag, field, container] of ASKING)
    it(`${what} needs ${FLAGS[flag]}, through every door`, async () => {
      const others = Object.fromEntries(Object.keys(FLAGS).map((name) => [name, name !== flag]));
      const run = RunContainerRequest.create({ spec: service(container) });
      const runCaller = { author: 'self', nodeId: 'self', seesAll: false };
      const doors: readonly ((api: ControlApi) => Promise<unknown>)[] = [
        (api) => api.createService(CALLER, CreateServiceRequest.create({ spec: service(container) })),
        (api) => api.runContainer(runCaller, run),
        (api) =>
          api.stacks.deployStack(
            CALLER,
            DeployStackRequest.create({ spec: StackSpec.create({ name: 'it' }), services: [service(container)] }),
          ),
      ];
      for (const door of doors) {
        for (const policy of [undefined, others]) {
          const { api, view } = setUp(policy);
          const before = view.version;
          const error = await door(api).then(
            () => assert.fail('it was not refused'),
            (thrown: unknown) => SwarmError.from(thrown),
          );
          assert.deepEqual([error.code, error.reason], ['denied', 'policy'], error.message);
          assert.ok(error.field?.endsWith(field), error.field);
          assert.match(error.hint ?? '', new RegExp(`swarm update --${FLAGS[flag]}=true`));
          assert.equal(view.version, before);
        }
        await door(setUp({ [flag]: true }).api);
      }
    });

  it('what sets a container further apart needs nothing', async () => {
    for (const container of [
      security({ seccomp: SeccompMode.DEFAULT }),
      security({ selinuxLabels: { level: 's0:c1,c2' } }),
      { pidMode: '', ipcMode: 'none', cgroupnsMode: 'private', noNewPrivileges: true },
      { annotations: { 'org.example.team': 'blue' }, shmSizeBytes: 1 << 20, domainname: 'example.org' },
    ])
      await setUp().api.createService(CALLER, CreateServiceRequest.create({ spec: service(container) }));
  });

  it('gives no_new_privileges to every new container where it is required', async () => {
    const { api } = setUp({ requireNoNewPrivileges: true });
    const { service: made } = await api.createService(CALLER, CreateServiceRequest.create({ spec: service({}) }));
    assert.equal(made?.spec?.task?.container?.noNewPrivileges, true);
  });

  it('says which services ask for more than a new policy allows, and leaves them alone', async () => {
    const { api, view } = setUp({ allowPrivileged: true });
    await api.createService(CALLER, CreateServiceRequest.create({ spec: service({ privileged: true }) }));
    const spec = ClusterSpec.create({ name: 'default', policy: ClusterPolicy.create() });
    const version = view.cluster()?.version ?? 0;
    const { warnings } = await api.updateCluster(CALLER, UpdateClusterRequest.create({ version, spec }));
    assert.deepEqual(warnings, [
      'services that ask for more than the policy allows run on until they are changed: it (privileged)',
    ]);
    assert.equal(view.serviceByName('it')?.spec?.task?.container?.privileged, true);
  });
});
