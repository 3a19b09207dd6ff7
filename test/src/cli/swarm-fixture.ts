/** A small swarm to look at: three nodes, three networks, four services, their tasks. Times of states are relative to `nowMs`. */
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import {
  Cluster,
  ContainerStatus,
  EngineDescription,
  JoinTokens,
  ManagerPeer,
  ManagerStatus,
  Network,
  NetworkAttachment,
  Node,
  NodeDescription,
  NodeState,
  NodeStatus,
  Revision,
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
  ClusterSpec,
  ContainerSpec,
  DnsConfig,
  EndpointMode,
  EndpointSpec,
  IpamSpec,
  IpamSubnet,
  LogDriver,
  Mount,
  MountType,
  NetworkAttachmentSpec,
  NetworkSpec,
  NodeAvailability,
  NodeRole,
  NodeSpec,
  Placement,
  PlacementPreference,
  Platform,
  PortConfig,
  PortProtocol,
  PublishMode,
  ResourceRequirements,
  Resources,
  ServiceSpec,
  TaskSpec,
  Ulimit,
  UpdateConfig,
} from '#gen/swarm/v1/specs.ts';
import { ControlApi } from '#manager/control/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';
import { payloads } from './payload-fixture.ts';

/** When everything was made; a constant, so that inspect always prints the same. */
export const CREATED_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

export const NODE_IDS = {
  alpha: 'n1alphaaaaaaaaaaaaaaaaaaa',
  beta: 'n2betabbbbbbbbbbbbbbbbbbb',
  gamma: 'n3gammagggggggggggggggggg',
} as const;

export const SERVICE_IDS = {
  web: 's1webwwwwwwwwwwwwwwwwwwww',
  api10: 's2apiaaaaaaaaaaaaaaaaaaaa',
  api2: 's3apibbbbbbbbbbbbbbbbbbbb',
  capable: 's4capcccccccccccccccccccc',
} as const;

export const NETWORK_IDS = {
  ingress: 'w1ingressiiiiiiiiiiiiiiii',
  back: 'w2backbbbbbbbbbbbbbbbbbbb',
  spare: 'w3sparesssssssssssssssss',
} as const;

const DIGEST = `sha256:${'ab'.repeat(32)}`;

const OBJECT = { version: 21, createdAtMs: CREATED_MS, updatedAtMs: CREATED_MS + HOUR_MS };

function node(
  name: keyof typeof NODE_IDS,
  role: NodeRole,
  state: NodeState,
  more: { readonly spec?: Partial<NodeSpec>; readonly message?: string } = {},
): Node {
  const isManager = role === NodeRole.MANAGER;
  return Node.create({
    ...OBJECT,
    id: NODE_IDS[name],
    role,
    spec: NodeSpec.create({ desiredRole: role, availability: NodeAvailability.ACTIVE, ...more.spec }),
    status: NodeStatus.create({
      state,
      message: more.message ?? '',
      address: `10.0.0.${Object.keys(NODE_IDS).indexOf(name) + 1}`,
    }),
    description: NodeDescription.create({
      hostname: name,
      platform: Platform.create({ os: 'linux', architecture: 'x86_64' }),
      resources: Resources.create({ cpuNanos: 2e9, memoryBytes: 8_335_147_008 }),
      engine: EngineDescription.create({ version: '0.1.0', labels: { storage: 'big' } }),
    }),
    ...(isManager
      ? { managerStatus: ManagerStatus.create({ leader: true, reachable: true, address: '10.0.0.1:2377' }) }
      : {}),
  });
}

const NODES: readonly Node[] = [
  node('alpha', NodeRole.MANAGER, NodeState.READY, { spec: { labels: { zone: 'a', disk: 'ssd<1>' } } }),
  node('beta', NodeRole.WORKER, NodeState.READY, { spec: { availability: NodeAvailability.DRAIN } }),
  node('gamma', NodeRole.WORKER, NodeState.DOWN, { message: 'heartbeat failure' }),
];

const PORTS = [
  PortConfig.create({
    protocol: PortProtocol.TCP,
    targetPort: 80,
    publishedPort: 8080,
    publishMode: PublishMode.INGRESS,
  }),
  PortConfig.create({
    protocol: PortProtocol.TCP,
    targetPort: 81,
    publishedPort: 8081,
    publishMode: PublishMode.INGRESS,
  }),
  PortConfig.create({
    protocol: PortProtocol.TCP,
    targetPort: 9000,
    publishedPort: 9000,
    publishMode: PublishMode.HOST,
  }),
  PortConfig.create({
    protocol: PortProtocol.UDP,
    targetPort: 53,
    publishedPort: 53,
    publishMode: PublishMode.INGRESS,
  }),
];

function network(
  name: keyof typeof NETWORK_IDS,
  vni: number,
  subnet: string,
  spec: Partial<NetworkSpec> = {},
): Network {
  return Network.create({
    ...OBJECT,
    id: NETWORK_IDS[name],
    spec: NetworkSpec.create({ name, driver: 'overlay', ipam: IpamSpec.create({ driver: 'default' }), ...spec }),
    vni,
    subnets: [IpamSubnet.create({ subnet, gateway: subnet.replace('.0/24', '.1') })],
  });
}

const NETWORKS: readonly Network[] = [
  network('ingress', 4096, '10.0.0.0/24', { ingress: true }),
  network('back', 4097, '10.0.1.0/24', { labels: { team: 'a', b: '' }, driverOptions: { encrypted: '' } }),
  network('spare', 4098, '10.0.2.0/24', { attachable: true, internal: true, ipv6: true }),
];

const WEB_ENDPOINT = ServiceEndpoint.create({
  mode: EndpointMode.VIP,
  ports: PORTS,
  addresses: [
    VirtualAddress.create({ network: NETWORK_IDS.ingress, addresses: ['10.0.0.5'] }),
    VirtualAddress.create({ network: NETWORK_IDS.back, addresses: ['10.0.1.2'] }),
  ],
});

const WEB_SPEC = ServiceSpec.create({
  name: 'web',
  labels: { a: 'b', 'x>y': '1&2' },
  mode: { kind: 'replicated', value: { replicas: 3 } },
  task: TaskSpec.create({
    container: ContainerSpec.create({
      image: `nginx:1.27@${DIGEST}`,
      args: ['sleep', '1000'],
      env: ['A=1', 'B=two words'],
      dir: '/srv',
      user: '1000:1000',
      init: false,
      mounts: [
        Mount.create({ type: MountType.BIND, source: '/src', target: '/dst', readOnly: true }),
        Mount.create({ type: MountType.VOLUME, source: 'vol', target: '/data' }),
      ],
    }),
    resources: ResourceRequirements.create({
      limits: Resources.create({ cpuNanos: 5e8, memoryBytes: 67_108_864, pids: 100 }),
      reservations: Resources.create({ cpuNanos: 1e8, memoryBytes: 33_554_432 }),
    }),
    placement: Placement.create({
      constraints: ['node.role==worker'],
      preferences: [PlacementPreference.create({ spread: 'node.labels.zone' })],
      maxReplicas: 2,
      platforms: [Platform.create({ os: 'linux', architecture: 'amd64' })],
    }),
    logDriver: LogDriver.create({ name: 'json-file', options: { 'max-size': '10m' } }),
    networks: [NetworkAttachmentSpec.create({ network: NETWORK_IDS.back, aliases: ['www'] })],
  }),
  update: UpdateConfig.create({ parallelism: 2, delayMs: 10_000, maxFailureRatio: 0.25 }),
  endpoint: EndpointSpec.create({ ports: PORTS }),
});

function plainSpec(
  name: string,
  image: string,
  mode: ServiceSpec['mode'],
  container: Partial<ContainerSpec> = {},
): ServiceSpec {
  return ServiceSpec.create({
    name,
    mode,
    task: TaskSpec.create({ container: ContainerSpec.create({ image, ...container }) }),
  });
}

const CAPABLE_SPEC = plainSpec(
  'capable',
  'busybox:latest',
  { kind: 'replicated', value: { replicas: 0 } },
  {
    labels: { c: 'd' },
    args: ['true'],
    env: ['A=1', 'B=two words'],
    init: false,
    capabilityAdd: ['CAP_NET_ADMIN', 'CAP_SYS_TIME'],
    capabilityDrop: ['CAP_CHOWN', 'CAP_KILL'],
    hosts: ['1.2.3.4 a', '1.2.3.5 a', '1.2.3.4 b c'],
    sysctls: { 'net.core.somaxconn': '1', 'kernel.msgmax': '2' },
    ulimits: [Ulimit.create({ name: 'core', soft: 1, hard: 1 }), Ulimit.create({ name: 'nofile', soft: 4, hard: 5 })],
    groups: ['g1', 'g2'],
    dns: DnsConfig.create({ nameservers: ['1.1.1.1'], options: ['o1'], search: ['s1'] }),
    mounts: [
      Mount.create({ type: MountType.BIND, source: '/src', target: '/dst', readOnly: true }),
      Mount.create({ type: MountType.VOLUME, source: 'vol', target: '/data' }),
    ],
  },
);

function services(nowMs: number): readonly Service[] {
  const status = UpdateStatus.create({
    state: UpdateState.COMPLETED,
    startedAtMs: nowMs - 70 * MINUTE_MS,
    completedAtMs: nowMs - 65 * MINUTE_MS,
    message: 'update completed',
  });
  const global = plainSpec('api10', 'example.com/team/api:1.2', { kind: 'global', value: {} });
  const none = plainSpec('api2', 'busybox', { kind: 'replicated', value: { replicas: 0 } });
  return [
    Service.create({ ...OBJECT, id: SERVICE_IDS.web, revision: 1, spec: WEB_SPEC, endpoint: WEB_ENDPOINT }),
    Service.create({ ...OBJECT, id: SERVICE_IDS.api10, revision: 1, spec: global, updateStatus: status }),
    Service.create({ ...OBJECT, id: SERVICE_IDS.api2, revision: 1, spec: none }),
    Service.create({ ...OBJECT, id: SERVICE_IDS.capable, revision: 1, spec: CAPABLE_SPEC }),
  ];
}

interface TaskInit {
  readonly service: keyof typeof SERVICE_IDS;
  readonly slot?: number;
  readonly node?: keyof typeof NODE_IDS;
  readonly desired: TaskState;
  readonly state: TaskState;
  readonly agoMs: number;
  readonly error?: string;
  readonly hasPort?: boolean;
  /** On the network `back`. */
  readonly address?: string;
}

function task(id: string, nowMs: number, init: TaskInit): Task {
  return Task.create({
    ...OBJECT,
    id: id.padEnd(25, id.at(-1)),
    // The newest task of a slot comes first in lists.
    createdAtMs: CREATED_MS - init.agoMs,
    serviceId: SERVICE_IDS[init.service],
    revision: 1,
    slot: init.slot ?? 0,
    nodeId: init.node === undefined ? '' : NODE_IDS[init.node],
    desiredState: init.desired,
    status: TaskStatus.create({
      state: init.state,
      timestampMs: nowMs - init.agoMs,
      message: 'started',
      error: init.error ?? '',
      container: ContainerStatus.create({ containerId: 'c'.repeat(64), pid: 100 }),
      ports: init.hasPort === true ? PORTS.filter((port) => port.publishMode === PublishMode.HOST) : [],
    }),
    networks:
      init.address === undefined
        ? []
        : [NetworkAttachment.create({ network: NETWORK_IDS.back, addresses: [init.address] })],
  });
}

function tasks(nowMs: number): readonly Task[] {
  const { RUNNING, SHUTDOWN, FAILED, PENDING } = TaskState;
  const failed = 'task: non-zero exit (1): a very long message that goes on and on';
  const waits = 'no suitable node (insufficient resources on 2 nodes)';
  return [
    task('t1a', nowMs, {
      service: 'web',
      slot: 1,
      node: 'alpha',
      desired: RUNNING,
      state: RUNNING,
      agoMs: 3.5 * MINUTE_MS,
      hasPort: true,
      address: '10.0.1.7',
    }),
    task('t2b', nowMs, {
      service: 'web',
      slot: 1,
      node: 'beta',
      desired: SHUTDOWN,
      state: FAILED,
      agoMs: 4.5 * MINUTE_MS,
      error: failed,
    }),
    task('t3c', nowMs, {
      service: 'web',
      slot: 1,
      node: 'beta',
      desired: SHUTDOWN,
      state: SHUTDOWN,
      agoMs: 25 * HOUR_MS,
    }),
    task('t4d', nowMs, {
      service: 'web',
      slot: 2,
      node: 'beta',
      desired: RUNNING,
      state: RUNNING,
      agoMs: 80 * SECOND_MS,
      address: '10.0.1.8',
    }),
    task('t5e', nowMs, {
      service: 'web',
      slot: 3,
      desired: RUNNING,
      state: PENDING,
      agoMs: 9.5 * MINUTE_MS,
      error: waits,
    }),
    task('t6f', nowMs, { service: 'api10', node: 'alpha', desired: RUNNING, state: RUNNING, agoMs: 2 * HOUR_MS }),
    task('t7g', nowMs, { service: 'api10', node: 'beta', desired: RUNNING, state: RUNNING, agoMs: 20 * 24 * HOUR_MS }),
  ];
}

export const CLUSTER = Cluster.create({
  ...OBJECT,
  id: 'c1clusterrrrrrrrrrrrrrrrr',
  spec: ClusterSpec.create({ name: 'default' }),
  rootCa: RootCa.create({
    certificatePem: Buffer.from('-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'),
    joinTokens: JoinTokens.create({ worker: 'SWMTKN-1-worker', manager: 'SWMTKN-1-manager' }),
  }),
  defaultAddressPools: ['10.0.0.0/8'],
  subnetSize: 24,
  dataPathPort: 4789,
  featureLevel: 5,
});

export const PEERS = [ManagerPeer.create({ nodeId: NODE_IDS.alpha, address: '10.0.0.1:2377' })];

/** The real API over the swarm. */
export function swarmFixture(nowMs: number): ControlApi {
  const view = new MemoryView();
  view.commit([
    { kind: 'create', table: 'cluster', object: CLUSTER },
    ...NETWORKS.map((object) => ({ kind: 'create', table: 'network', object }) as const),
    ...NODES.map((object) => ({ kind: 'create', table: 'node', object }) as const),
    ...payloads(nowMs),
    ...services(nowMs).flatMap(
      (object) =>
        [
          { kind: 'create', table: 'service', object },
          {
            kind: 'create',
            table: 'revision',
            object: Revision.create({
              id: `r${object.id.slice(1)}`,
              serviceId: object.id,
              number: 1,
              spec: object.spec,
            }),
          },
        ] as const,
    ),
    ...tasks(nowMs).map((object) => ({ kind: 'create', table: 'task', object }) as const),
  ]);
  return new ControlApi({
    store: {
      view: () => view,
      decide: async (decide) => view.commit(decide(view)),
    },
    selfNodeId: () => NODE_IDS.alpha,
    members: () => [{ nodeId: NODE_IDS.alpha, address: '10.0.0.1:2377', voter: true, leader: true, reachable: true }],
    random: new SeededRandom(1),
    images: { resolve: async () => undefined },
    tokens: () => 'SWMTKN-1-worker',
    now: () => nowMs,
    logger: silentLogger,
  });
}
