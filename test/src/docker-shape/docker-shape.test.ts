/**
 * Goal: our objects in Docker's JSON as Docker's clients expect it: key order, what is left out when empty, defaults
 * filled in, times and byte strings in Go's notation. Method: examples; every enum of the contract has a Docker name.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { byBytes, encodeJson, timestamp } from '#common/template/encode-json.ts';
import { BOOL, BYTES, INT, list, pointer, STRING, STRING_MAP, struct, TIME } from '#common/template/go-types.ts';
import { NetworkUsage, NetworkUser, SubnetUsage, TaskView } from '#gen/swarm/v1/control.ts';
import { GetInfoResponse, LocalNodeState } from '#gen/swarm/v1/node.ts';
import {
  Cluster,
  ContainerStatus,
  Network,
  Node,
  NodeDataPath,
  NodeDescription,
  RootCa,
  Service,
  ServiceEndpoint,
  Task,
  TaskState,
  TaskStatus,
  UpdateState,
  UpdateStatus,
  VirtualAddress,
} from '#gen/swarm/v1/objects.ts';
import {
  BindOptions,
  ContainerSpec,
  EndpointMode,
  EndpointSpec,
  IpamSpec,
  IpamSubnet,
  Mount,
  MountPropagation,
  MountType,
  NetworkAttachmentSpec,
  NetworkSpec,
  NodeRole,
  PortConfig,
  ServiceSpec,
  TaskSpec,
  TmpfsOptions,
  TrafficPolicy,
  VolumeOptions,
} from '#gen/swarm/v1/specs.ts';
import { swarmInfoShape, systemInfoShape, withoutPort } from '#src/docker-shape/from-info.ts';
import { networkShape, withPrefixLength } from '#src/docker-shape/from-networks.ts';
import { clusterShape, nodeShape, serviceShape, TASK_STATES, taskShape } from '#src/docker-shape/from-objects.ts';
import { NETWORK } from '#src/docker-shape/network-types.ts';
import { PREDEFINED_NETWORKS } from '#src/docker-shape/predefined-networks.ts';
import { CLUSTER_INFO, NODE, SERVICE, SWARM_INFO, SYSTEM_INFO, TASK } from '#src/docker-shape/swarm-types.ts';

describe('docker-shape: JSON', () => {
  it('times have as many decimals as they need', () => {
    assert.equal(timestamp(Date.UTC(2026, 0, 2, 3, 4, 5)), '2026-01-02T03:04:05Z');
    assert.equal(timestamp(Date.UTC(2026, 0, 2, 3, 4, 50, 60)), '2026-01-02T03:04:50.06Z');
    assert.equal(timestamp(undefined), '0001-01-01T00:00:00Z');
  });

  it('empty fields are left out where Go leaves them out', () => {
    const inner = struct('t.Inner', { 'A?': INT, B: INT });
    const type = struct('t.Outer', {
      '...Inner': inner,
      'Text?': STRING,
      'Other=other': STRING,
      'Flag?': BOOL,
      'List?': list(STRING),
      All: list(STRING),
      'Map?': STRING_MAP,
      'Pointer?': pointer(inner),
      'Zero?': pointer(INT),
      'At?': TIME,
      'Bytes?': BYTES,
    });
    assert.equal(encodeJson(type, {}), '{"B":0,"other":"","All":null,"At":"0001-01-01T00:00:00Z"}');
    const data = {
      A: 1,
      Text: 'x',
      Flag: true,
      List: [],
      All: [],
      Map: { b: '1', a: '2' },
      Pointer: {},
      Zero: 0,
      Bytes: new Uint8Array([1, 2]),
    };
    assert.equal(
      encodeJson(type, data),
      '{"A":1,"B":0,"Text":"x","other":"","Flag":true,"All":[],"Map":{"a":"2","b":"1"},"Pointer":{"B":0},"Zero":0,"At":"0001-01-01T00:00:00Z","Bytes":"AQI="}',
    );
  });

  it('texts are escaped as Go escapes them', () => {
    assert.equal(encodeJson(STRING, '<a&b>\u2028"\\\n\u0001'), '"\\u003ca\\u0026b\\u003e\\u2028\\"\\\\\\n\\u0001"');
    assert.equal(encodeJson(STRING, '<\u2029>', { escapeHtml: false }), '"<\\u2029>"');
    assert.equal(encodeJson(STRING, 'a\ud800b'), '"a\ufffdb"');
  });

  it('is always JSON, and keys like numbers or __proto__ are only keys', () => {
    const anything = fc.dictionary(fc.string(), fc.jsonValue());
    fc.assert(
      fc.property(anything, (value) => {
        assert.deepEqual(JSON.parse(encodeJson({ kind: 'any' }, value)), JSON.parse(JSON.stringify(value)));
      }),
    );
    assert.equal(encodeJson(STRING_MAP, { 10: 'a', 9: 'b', ['__proto__']: 'c' }), '{"10":"a","9":"b","__proto__":"c"}');
  });

  it('keys are sorted by their bytes', () => {
    assert.deepEqual(['b', 'a', '\uffff', '😀', 'B', ''].toSorted(byBytes), ['', 'B', 'a', 'b', '\uffff', '😀']);
  });
});

/** Fields of Docker's JSON that are looked at alone. */
interface Shape {
  readonly Spec: { readonly TaskTemplate: { readonly ContainerSpec: { readonly Mounts: unknown } } };
  readonly UpdateStatus: unknown;
  readonly ServiceStatus: unknown;
  readonly Status: unknown;
  readonly DesiredState: unknown;
}

function shape(text: string): Shape {
  return JSON.parse(text) as Shape;
}

const BACK = Network.create({
  id: 'n',
  createdAtMs: 1000,
  spec: NetworkSpec.create({ name: 'back', ipv6: true, labels: { a: 'b' }, driverOptions: { encrypted: '' } }),
  vni: 4097,
  subnets: [
    IpamSubnet.create({
      subnet: '10.0.1.0/24',
      gateway: '10.0.1.1',
      ipRange: '10.0.1.128/25',
      auxAddresses: { r: '10.0.1.2' },
    }),
    IpamSubnet.create({ subnet: 'fd00:1::/64', gateway: 'fd00:1::1' }),
  ],
});

const USAGE = NetworkUsage.create({
  subnets: [SubnetUsage.create({ subnet: '10.0.1.0/24', total: 126, used: 2 })],
  users: [
    NetworkUser.create({ serviceId: 's', serviceName: 'web', addresses: ['10.0.1.130'] }),
    NetworkUser.create({
      serviceId: 's',
      serviceName: 'web',
      taskId: 't1',
      slot: 2,
      nodeId: 'self',
      addresses: ['10.0.1.131', 'fd00:1::9'],
    }),
    NetworkUser.create({ serviceName: 'every', taskId: 't2', nodeId: 'other', addresses: ['10.0.1.132'] }),
  ],
  nodeIds: ['other', 'self'],
});

const PEER = Node.create({
  id: 'other',
  description: NodeDescription.create({
    hostname: 'beta',
    dataPath: NodeDataPath.create({ address: '192.168.0.2' }),
  }),
});

describe('docker-shape: networks', () => {
  it('every key that Docker has, in its order, with what was given out', () => {
    assert.equal(
      encodeJson(NETWORK, networkShape(BACK)),
      '{"Name":"back","Id":"n","Created":"1970-01-01T00:00:01Z","Scope":"swarm","Driver":"overlay","EnableIPv4":true,"EnableIPv6":true,' +
        '"IPAM":{"Driver":"default","Options":{},"Config":[{"Subnet":"10.0.1.0/24","IPRange":"10.0.1.128/25","Gateway":"10.0.1.1","AuxiliaryAddresses":{"r":"10.0.1.2"}},' +
        '{"Subnet":"fd00:1::/64","Gateway":"fd00:1::1"}]},"Internal":false,"Attachable":false,"Ingress":false,"ConfigFrom":{"Network":""},"ConfigOnly":false,' +
        '"Containers":{},"Options":{"com.docker.network.driver.overlay.vxlanid_list":"4097","encrypted":""},"Labels":{"a":"b"}}',
    );
  });

  it('before addresses are given out it shows those that were asked for', () => {
    const spec = NetworkSpec.create({
      name: 'x',
      ipam: IpamSpec.create({ subnets: [IpamSubnet.create({ subnet: '10.9.0.0/24' })] }),
    });
    const json = JSON.parse(encodeJson(NETWORK, networkShape(Network.create({ id: 'x', spec })))) as NetworkJson;
    assert.deepEqual(json.IPAM.Config, [{ Subnet: '10.9.0.0/24' }]);
    assert.deepEqual(json.Options, {});
  });

  it('who is on it: containers of the own node, all nodes, and all tasks when asked', () => {
    const details = {
      usage: USAGE,
      nodes: new Map([['other', PEER]]),
      selfNodeId: 'self',
      containerIds: new Map([['t1', 'c1']]),
      isVerbose: true,
    };
    const json = JSON.parse(encodeJson(NETWORK, networkShape(BACK, details))) as NetworkJson;
    assert.deepEqual(json.Containers, {
      c1: {
        Name: 'web.2.t1',
        EndpointID: 't1',
        MacAddress: '02:53:0a:00:01:83',
        IPv4Address: '10.0.1.131/24',
        IPv6Address: 'fd00:1::9/64',
      },
    });
    for (const fields of [{ ingress: true }, { driver: 'ipvlan' }]) {
      const spec = NetworkSpec.create({ ...BACK.spec, ...fields });
      const shown = JSON.parse(encodeJson(NETWORK, networkShape({ ...BACK, spec }, details))) as NetworkJson;
      assert.match(JSON.stringify(shown.Containers), /"MacAddress":""/, 'its device is not of this network alone');
    }
    assert.deepEqual(json.Peers, [
      { Name: 'beta', IP: '192.168.0.2' },
      { Name: 'self', IP: '' },
    ]);
    assert.deepEqual(json.Services, {
      every: {
        VIP: '',
        Ports: [],
        LocalLBIndex: 0,
        Tasks: [
          { Name: 'every.other.t2', EndpointID: 't2', EndpointIP: '10.0.1.132', Info: { 'Host IP': '192.168.0.2' } },
        ],
      },
      web: {
        VIP: '10.0.1.130',
        Ports: [],
        LocalLBIndex: 0,
        Tasks: [{ Name: 'web.2.t1', EndpointID: 't1', EndpointIP: '10.0.1.131', Info: { 'Host IP': '' } }],
      },
    });
    assert.deepEqual(json.Status, { IPAM: { Subnets: { '10.0.1.0/24': { IPsInUse: 2, DynamicIPsAvailable: 124 } } } });
    const brief = JSON.parse(encodeJson(NETWORK, networkShape(BACK, { ...details, isVerbose: false }))) as NetworkJson;
    assert.equal(brief.Services, undefined);
  });

  it('names that are those of Object.prototype are names', () => {
    const usage = NetworkUsage.create({
      users: [NetworkUser.create({ serviceName: '__proto__', addresses: ['10.0.1.130'] })],
    });
    const details = { usage, nodes: new Map(), selfNodeId: '', containerIds: new Map(), isVerbose: true };
    assert.match(encodeJson(NETWORK, networkShape(BACK, details)), /"Services":\{"__proto__":\{"VIP":"10\.0\.1\.130"/);
  });

  it('networks that every node has are local, with their names for ids', () => {
    const shown = PREDEFINED_NETWORKS.map((network) => {
      const { Id, Scope, Driver } = JSON.parse(encodeJson(NETWORK, networkShape(network))) as NetworkJson;
      return [Id, Scope, Driver];
    });
    assert.deepEqual(shown, [
      ['bridge', 'local', 'bridge'],
      ['host', 'local', 'host'],
      ['none', 'local', 'null'],
    ]);
  });

  it('addresses have the length of their prefix where a subnet has them', () => {
    assert.equal(withPrefixLength('10.0.1.5', BACK.subnets), '10.0.1.5/24');
    assert.equal(withPrefixLength('fd00:1::5', BACK.subnets), 'fd00:1::5/64');
    assert.equal(withPrefixLength('10.0.2.5', BACK.subnets), '10.0.2.5');
    assert.equal(withPrefixLength('rubbish', BACK.subnets), 'rubbish');
  });
});

interface NetworkJson {
  readonly Id: string;
  readonly Scope: string;
  readonly Driver: string;
  readonly IPAM: { readonly Config: unknown };
  readonly Options: unknown;
  readonly Containers: unknown;
  readonly Peers: unknown;
  readonly Services: unknown;
  readonly Status: unknown;
}

describe('docker-shape: endpoints of services', () => {
  const spec = ServiceSpec.create({
    name: 'web',
    task: TaskSpec.create({
      networks: [NetworkAttachmentSpec.create({ network: 'n', aliases: ['db'], addresses: ['10.0.1.9'] })],
    }),
    endpoint: EndpointSpec.create({
      mode: EndpointMode.VIP,
      drainMs: 5000,
      ports: [PortConfig.create({ targetPort: 80, hostIp: '10.0.0.1', trafficPolicy: TrafficPolicy.LOCAL })],
    }),
  });
  const endpoint = ServiceEndpoint.create({
    ports: [{ ...(spec.endpoint?.ports[0] as PortConfig), publishedPort: 30_000 }],
    addresses: [VirtualAddress.create({ network: 'n', addresses: ['10.0.1.130', 'fd00:1::2'] })],
  });

  const endpointJson = (service: Service): unknown => {
    const text = encodeJson(SERVICE, serviceShape(service, undefined, new Map([['n', BACK]])));
    return (JSON.parse(text) as { readonly Endpoint: unknown }).Endpoint;
  };

  it('ports that were chosen, and addresses with their prefix', () => {
    const declared = {
      Protocol: 'tcp',
      TargetPort: 80,
      PublishMode: 'ingress',
      HostIP: '10.0.0.1',
      TrafficPolicy: 'local',
    };
    assert.deepEqual(endpointJson(Service.create({ spec, endpoint })), {
      Spec: { Mode: 'vip', Ports: [declared], DrainPeriod: 5e9 },
      Ports: [{ ...declared, PublishedPort: 30_000 }],
      VirtualIPs: [
        { NetworkID: 'n', Addr: '10.0.1.130/24' },
        { NetworkID: 'n', Addr: 'fd00:1::2/64' },
      ],
    });
  });

  it('one that waits says what for; one without ports and networks is empty', () => {
    const waiting = ServiceEndpoint.create({ problem: 'no address left in network back' });
    const json = endpointJson(Service.create({ spec, endpoint: waiting })) as { readonly Problem: string };
    assert.equal(json.Problem, 'no address left in network back');
    const hosted = ServiceSpec.create({
      task: TaskSpec.create({ networks: [NetworkAttachmentSpec.create({ network: 'host' })] }),
    });
    assert.deepEqual(endpointJson(Service.create({ spec: hosted })), { Spec: {} });
  });

  it('the networks of a task are in its template', () => {
    const text = encodeJson(SERVICE, serviceShape(Service.create({ spec }), undefined));
    assert.match(text, /"Networks":\[\{"Target":"n","Aliases":\["db"\],"Addresses":\["10\.0\.1\.9"\]\}\]/);
  });
});

describe('docker-shape: objects', () => {
  it('a service shows the defaults that its spec leaves out', () => {
    const spec = ServiceSpec.create({
      name: 'web',
      mode: { kind: 'replicated', value: { replicas: 2 } },
      task: TaskSpec.create({ container: ContainerSpec.create({ image: 'x' }) }),
    });
    const service = Service.create({ id: 's', version: 7, createdAtMs: 1000, updatedAtMs: 2000, spec });
    assert.equal(
      encodeJson(SERVICE, serviceShape(service, undefined)),
      '{"ID":"s","Version":{"Index":7},"CreatedAt":"1970-01-01T00:00:01Z","UpdatedAt":"1970-01-01T00:00:02Z","Spec":{"Name":"web","Labels":{},' +
        '"TaskTemplate":{"ContainerSpec":{"Image":"x","StopGracePeriod":10000000000,"DNSConfig":{},"Isolation":"default"},"Resources":{"Limits":{},"Reservations":{}},' +
        '"RestartPolicy":{"Condition":"any","Delay":5000000000,"MaxAttempts":0},"Placement":{},"ForceUpdate":0,"Runtime":"container"},"Mode":{"Replicated":{"Replicas":2}},' +
        '"UpdateConfig":{"Parallelism":1,"FailureAction":"pause","Monitor":5000000000,"MaxFailureRatio":0,"Order":"stop-first"},' +
        '"RollbackConfig":{"Parallelism":1,"FailureAction":"pause","Monitor":5000000000,"MaxFailureRatio":0,"Order":"stop-first"},"EndpointSpec":{"Mode":"vip"}},"Endpoint":{"Spec":{}}}',
    );
  });

  it('mounts of every type', () => {
    const mounts = [
      Mount.create({
        type: MountType.BIND,
        source: '/a',
        target: '/b',
        bind: BindOptions.create({ propagation: MountPropagation.RSLAVE, nonRecursive: true, createSource: true }),
      }),
      Mount.create({
        type: MountType.VOLUME,
        source: 'v',
        target: '/v',
        volume: VolumeOptions.create({ noCopy: true, labels: { a: 'b' }, driver: 'local', driverOptions: { o: 'p' } }),
      }),
      Mount.create({ type: MountType.TMPFS, target: '/t', tmpfs: TmpfsOptions.create({ sizeBytes: 5, mode: 0o700 }) }),
    ];
    const spec = ServiceSpec.create({ task: TaskSpec.create({ container: ContainerSpec.create({ mounts }) }) });
    const { Spec } = shape(encodeJson(SERVICE, serviceShape(Service.create({ spec }), undefined)));
    assert.deepEqual(Spec.TaskTemplate.ContainerSpec.Mounts, [
      {
        Type: 'bind',
        Source: '/a',
        Target: '/b',
        BindOptions: { Propagation: 'rslave', NonRecursive: true, CreateMountpoint: true },
      },
      {
        Type: 'volume',
        Source: 'v',
        Target: '/v',
        VolumeOptions: { NoCopy: true, Labels: { a: 'b' }, DriverConfig: { Name: 'local', Options: { o: 'p' } } },
      },
      { Type: 'tmpfs', Target: '/t', TmpfsOptions: { SizeBytes: 5, Mode: 448 } },
    ]);
  });

  it('an update that runs, and counts', () => {
    const updateStatus = UpdateStatus.create({
      state: UpdateState.UPDATING,
      startedAtMs: 1000,
      message: 'update in progress',
    });
    const service = Service.create({ id: 's', updateStatus });
    const json = shape(
      encodeJson(
        SERVICE,
        serviceShape(service, { running: 1, desired: 2, completed: 0, total: 0, notReady: 0, crashLooping: 0 }),
      ),
    );
    assert.deepEqual(json.UpdateStatus, {
      State: 'updating',
      StartedAt: '1970-01-01T00:00:01Z',
      Message: 'update in progress',
    });
    assert.deepEqual(json.ServiceStatus, { RunningTasks: 1, DesiredTasks: 2, CompletedTasks: 0 });
  });

  it('a task with its container', () => {
    const status = TaskStatus.create({
      state: TaskState.FAILED,
      timestampMs: 5,
      message: 'started',
      error: 'oom',
      container: ContainerStatus.create({ containerId: 'c', pid: 1, exitCode: 137, oomKilled: true }),
    });
    const task = Task.create({ id: 't', slot: 2, nodeId: 'n', desiredState: TaskState.SHUTDOWN, status });
    const json = shape(encodeJson(TASK, taskShape(TaskView.create({ task }))));
    assert.deepEqual(json.Status, {
      Timestamp: '1970-01-01T00:00:00.005Z',
      State: 'failed',
      Message: 'started',
      Err: 'oom',
      ContainerStatus: { ContainerID: 'c', PID: 1, ExitCode: 137 },
      PortStatus: {},
    });
    assert.equal(json.DesiredState, 'shutdown');
  });

  it('every state of a task has the name that Docker gives it', () => {
    for (const [name, state] of Object.entries(TaskState))
      if (name !== 'UNSPECIFIED') assert.equal(TASK_STATES[state], name.toLowerCase());
  });

  it('objects without anything are shown too', () => {
    for (const text of [
      encodeJson(NODE, nodeShape(Node.create({ id: 'n' }))),
      encodeJson(SERVICE, serviceShape(Service.create({ id: 's' }), undefined)),
      encodeJson(TASK, taskShape(TaskView.create({ task: Task.create({ id: 't' }) }))),
      encodeJson(CLUSTER_INFO, clusterShape(Cluster.create({ id: 'c' }))),
      encodeJson(SWARM_INFO, swarmInfoShape(GetInfoResponse.create())),
      encodeJson(SYSTEM_INFO, systemInfoShape(GetInfoResponse.create())),
    ])
      assert.equal(typeof JSON.parse(text), 'object');
  });

  it('keys and tokens are never in it', () => {
    const cluster = Cluster.create({
      id: 'c',
      rootCa: RootCa.create({
        keyPem: Buffer.from('SECRETKEY'),
        certificatePem: Buffer.from('CERT'),
        joinTokens: { worker: 'SECRETTOKEN', manager: 'SECRETTOKEN' },
      }),
    });
    const info = GetInfoResponse.create({ state: LocalNodeState.ACTIVE, role: NodeRole.MANAGER, cluster });
    const container = ContainerSpec.create({ image: 'x', registryAuth: 'SECRETAUTH' });
    const service = Service.create({ spec: ServiceSpec.create({ task: TaskSpec.create({ container }) }) });
    const all = [
      encodeJson(CLUSTER_INFO, clusterShape(cluster)),
      encodeJson(SYSTEM_INFO, systemInfoShape(info)),
      encodeJson(SERVICE, serviceShape(service, undefined)),
    ];
    assert.doesNotMatch(all.join(), /SECRET/);
    assert.match(all.join(), /CERT/);
  });

  it('addresses lose their port', () => {
    assert.equal(withoutPort('10.0.0.1:2377'), '10.0.0.1');
    assert.equal(withoutPort('[fd00::1]:2377'), 'fd00::1');
    assert.equal(withoutPort('fd00::1'), 'fd00::1');
    assert.equal(withoutPort('10.0.0.1'), '10.0.0.1');
  });
});
