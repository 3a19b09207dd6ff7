/** Goal: what a service says reaches the container. Method: the mapping is pure: look at what it makes. */

import assert from 'node:assert/strict';
import { expandTemplate, placeholderValues, taskName } from '#agent/executor/oci/expand-templates.ts';
import { expectedPorts, mapAssignment, portConfigs, stopSignalOf } from '#agent/executor/oci/map-assignment.ts';
import { EMPTY_CONTAINER_SPEC, NO_IMAGE_DEFAULTS } from '#agent/runtime/index.ts';
import type { TaskAssignment } from '#agent/tasks/index.ts';
import { SwarmError } from '#common/errors.ts';
import { Task } from '#gen/swarm/v1/objects.ts';
import {
  BindOptions,
  ContainerSpec,
  DnsConfig,
  EndpointSpec,
  LogDriver,
  Mount,
  MountPropagation,
  MountType,
  PortConfig,
  PortProtocol,
  PublishMode,
  ResourceRequirements,
  Resources,
  ServiceSpec,
  TaskSpec,
  TmpfsOptions,
  Ulimit,
  VolumeOptions,
} from '#gen/swarm/v1/specs.ts';

function assignment(
  container: Partial<ContainerSpec>,
  task: Partial<TaskSpec> = {},
  ports: readonly PortConfig[] = [],
  slot = 3,
): TaskAssignment {
  return {
    task: Task.create({ id: '0123456789abcdefghijklmno', serviceId: 'service-id', slot }),
    spec: ServiceSpec.create({
      name: 'web',
      labels: { tier: 'front', 'com.example/x': 'y' },
      task: TaskSpec.create({ container: ContainerSpec.create({ image: 'busybox', ...container }), ...task }),
      endpoint: EndpointSpec.create({ ports }),
    }),
    node: { id: 'node-id', hostname: 'host1' },
  };
}

const map = (...values: Parameters<typeof assignment>) => mapAssignment(assignment(...values), 'amd64');

describe('executor: assignments', () => {
  it('leaves to the image what the service does not say', () => {
    const mapped = map({});
    assert.deepEqual([mapped.spec.command, mapped.spec.workingDirectory, mapped.spec.user], [[], undefined, undefined]);
    assert.equal(mapped.spec.hostname, '0123456789ab');
    assert.equal(mapped.stopGraceMs, 10_000);
    assert.equal(mapped.spec.resources.memoryBytes, undefined);
    assert.equal(mapped.spec.seccomp, 'default');
    assert.deepEqual(mapped.log, { driver: 'file', maxBytes: 10_000_000, maxFiles: 3 });
  });

  it('knows where others expect the task to listen', () => {
    const port = (targetPort: number, protocol: PortProtocol): PortConfig =>
      PortConfig.create({ targetPort, protocol });
    const ports = [port(80, PortProtocol.TCP), port(53, PortProtocol.UDP), port(80, PortProtocol.TCP)];
    const exposed = ['443/tcp', '53/udp', '8080'];
    const web = assignment({}, {}, ports);
    assert.deepEqual(expectedPorts(web, exposed), { published: [80], exposed: [443, 8080] });
    const oneOff = { ...web, task: { ...web.task, serviceId: '' } };
    assert.deepEqual(expectedPorts(oneOff, exposed), { published: [80], exposed: [] });
  });

  it('passes everything on', () => {
    const mapped = map(
      {
        command: ['/entry'],
        args: ['a'],
        env: ['SLOT={{.Task.Slot}}'],
        dir: '/srv',
        user: 'www',
        groups: ['audio'],
        hostname: '{{.Node.Hostname}}-{{.Task.Slot}}',
        tty: true,
        readOnly: true,
        init: true,
        sysctls: { 'net.core.somaxconn': '9' },
        ulimits: [Ulimit.create({ name: 'nofile', soft: 1, hard: 2 })],
        capabilityAdd: ['NET_ADMIN'],
        capabilityDrop: ['CHOWN'],
        oomScoreAdj: 5,
        noNewPrivileges: true,
        stopSignal: 'SIGUSR1',
        stopGracePeriodMs: 0,
        hosts: ['10.0.0.1 db'],
        dns: DnsConfig.create({ nameservers: ['9.9.9.9'] }),
        registryAuth: 'secret',
      },
      {
        resources: ResourceRequirements.create({
          limits: Resources.create({ cpuNanos: 5e8, memoryBytes: 1 << 26, pids: 7 }),
          memorySwapBytes: -1,
        }),
        logDriver: LogDriver.create({ name: 'json-file', options: { 'max-size': '1m' } }),
      },
    );
    const { spec } = mapped;
    assert.deepEqual([spec.command, spec.args, spec.env], [['/entry'], ['a'], ['SLOT=3']]);
    assert.deepEqual(
      [spec.workingDirectory, spec.user, spec.groups, spec.hostname],
      ['/srv', 'www', ['audio'], 'host1-3'],
    );
    assert.deepEqual([spec.tty, spec.readOnly, spec.init, spec.noNewPrivileges], [true, true, true, true]);
    assert.deepEqual(spec.resources, {
      ...EMPTY_CONTAINER_SPEC.resources,
      cpuNanos: 5e8,
      memoryBytes: 1 << 26,
      memorySwapBytes: -1,
      pids: 7,
    });
    assert.deepEqual(spec.ulimits, [{ name: 'nofile', soft: 1, hard: 2 }]);
    assert.deepEqual([spec.capabilityAdd, spec.capabilityDrop, spec.oomScoreAdjust], [['NET_ADMIN'], ['CHOWN'], 5]);
    assert.deepEqual([mapped.stopSignal, mapped.stopGraceMs, mapped.registryAuth], [10, 0, 'secret']);
    assert.equal(mapped.log.maxBytes, 1e6);
    assert.deepEqual(mapped.attach.hosts, ['10.0.0.1 db']);
    assert.deepEqual(mapped.attach.dns?.nameservers, ['9.9.9.9']);
    assert.equal(mapped.attach.hostname, 'host1-3');
  });

  it('has a domain where the service names one, and the name of the node in its namespace', () => {
    const { attach } = map({ hostname: 'web', domainname: 'example.org' });
    assert.deepEqual([attach.hostname, attach.domainName], ['web', 'example.org']);
    assert.equal(map({ utsMode: 'host' }).spec.hostname, 'host1');
    assert.equal('domainName' in map({}).attach, false);
  });

  it('maps mounts of each kind', () => {
    const { mounts } = map({
      mounts: [
        Mount.create({
          type: MountType.BIND,
          source: '/srv/{{.Task.Slot}}',
          target: '/a',
          readOnly: true,
          bind: BindOptions.create({ propagation: MountPropagation.RSLAVE, nonRecursive: true, createSource: true }),
        }),
        Mount.create({
          type: MountType.VOLUME,
          source: 'data-{{.Task.Slot}}',
          target: '/b',
          volume: VolumeOptions.create({ noCopy: true, labels: { a: 'b' }, subpath: 'inner-{{.Task.Slot}}' }),
        }),
        Mount.create({ type: MountType.TMPFS, target: '/c' }),
        Mount.create({
          type: MountType.TMPFS,
          target: '/d',
          tmpfs: TmpfsOptions.create({ sizeBytes: 4096, mode: 0o700, options: ['exec'] }),
        }),
        Mount.create({ type: MountType.BIND, source: '/x', target: '/e' }),
      ],
    });
    assert.deepEqual(mounts, [
      {
        kind: 'bind',
        source: '/srv/3',
        target: '/a',
        readOnly: true,
        propagation: 'rslave',
        recursive: false,
        createSource: true,
      },
      {
        kind: 'volume',
        name: 'data-3',
        target: '/b',
        readOnly: false,
        noCopy: true,
        labels: { a: 'b' },
        driver: '',
        driverOptions: {},
        subpath: 'inner-3',
      },
      { kind: 'tmpfs', target: '/c', readOnly: false, sizeBytes: undefined, mode: 0o1777, options: [] },
      { kind: 'tmpfs', target: '/d', readOnly: false, sizeBytes: 4096, mode: 0o700, options: ['exec'] },
      {
        kind: 'bind',
        source: '/x',
        target: '/e',
        readOnly: false,
        propagation: 'rprivate',
        recursive: true,
        createSource: false,
      },
    ]);
  });

  it('publishes the ports of the host, there and back', () => {
    const host = PortConfig.create({
      protocol: PortProtocol.UDP,
      targetPort: 53,
      publishedPort: 5353,
      publishMode: PublishMode.HOST,
      hostIp: '127.0.0.1',
    });
    const mesh = PortConfig.create({ targetPort: 80, publishedPort: 80, publishMode: PublishMode.INGRESS });
    const { ports } = map({}, {}, [mesh, host]).attach;
    assert.deepEqual(ports, [{ protocol: 'udp', publishedPort: 5353, targetPort: 53, hostIp: '127.0.0.1' }]);
    assert.deepEqual(portConfigs(ports), [host]);
  });

  it('takes the stop signal of the image, SIGTERM for nonsense', () => {
    const of = (container: Partial<ContainerSpec>, stopSignal: string | undefined) =>
      stopSignalOf(map(container), { ...NO_IMAGE_DEFAULTS, stopSignal });
    assert.equal(of({}, undefined), 15);
    assert.equal(of({}, 'SIGQUIT'), 3);
    assert.equal(of({}, 'nonsense'), 15);
    assert.equal(of({ stopSignal: 'INT' }, 'SIGQUIT'), 2);
    assert.throws(() => map({ stopSignal: 'nonsense' }), SwarmError);
  });

  it('refuses a mount without a type and a task without a container', () => {
    assert.throws(() => map({ mounts: [Mount.create({ target: '/x' })] }), SwarmError);
    const bare = { ...assignment({}), spec: ServiceSpec.create({ name: 'x' }) };
    assert.throws(() => mapAssignment(bare, 'amd64'), SwarmError);
  });
});

describe('executor: templates', () => {
  const values = placeholderValues(assignment({}), 'arm64');
  const expand = (text: string) => expandTemplate('env', text, values);

  it('know what Swarm knows', () => {
    assert.equal(
      expand('{{.Service.ID}} {{ .Service.Name }} {{- .Node.ID}} {{.Node.Hostname}} {{.Task.ID}} {{.Task.Slot}}'),
      'service-id webnode-id host1 0123456789abcdefghijklmno 3',
    );
    assert.equal(expand('{{.Task.Name}}'), 'web.3.0123456789abcdefghijklmno');
    assert.equal(expand('{{.Node.Platform.OS}}/{{.Node.Platform.Architecture}}'), 'linux/arm64');
    assert.equal(
      expand('{{.Service.Labels.tier}}{{index .Service.Labels "com.example/x"}}{{index .Service.Labels "none"}}'),
      'fronty',
    );
    assert.equal(expand('{ { no placeholder } }'), '{ { no placeholder } }');
  });

  it('name the node where there is no slot', () => {
    assert.equal(taskName(assignment({}, {}, [], 0)), 'web.node-id.0123456789abcdefghijklmno');
  });

  it('refuse what they do not know', () => {
    for (const text of ['{{.Nonsense}}', '{{secret "x"}}', '{{}}', '{{.Service.Labels.none}}'])
      assert.throws(() => expand(text), SwarmError, text);
  });
});
