/** An example for each key that is honoured: the lines of a service, what to read of its spec, and what it has to be. */
import {
  DependencyCondition,
  EndpointMode,
  FailureAction,
  MountPropagation,
  MountType,
  PortProtocol,
  PublishMode,
  RestartCondition,
  type ServiceSpec,
  UpdateOrder,
} from '#gen/swarm/v1/specs.ts';

export type Reads = (spec: ServiceSpec) => unknown;
export type Example = readonly [body: string, read: Reads, wanted: unknown, rest?: string];

const container = (spec: ServiceSpec) => spec.task?.container;
const one =
  (field: keyof NonNullable<ReturnType<typeof container>>): Reads =>
  (spec) =>
    container(spec)?.[field];
const OTHER = '  b: {image: b}\n';
const LIMITS: Reads = ({ task }) => task?.resources?.limits;

export const SERVICE_EXAMPLES: Readonly<Record<string, Example>> = {
  annotations: ['annotations: [x=1]', one('annotations'), { x: '1' }],
  blkio_config: [
    'blkio_config: {weight: 300, device_read_bps: [{path: /dev/sda, rate: 12mb}]}',
    ({ task }) => [task?.resources?.blockIo?.weight, task?.resources?.blockIo?.readBytes[0]?.rate],
    [300, 12 * 1024 * 1024],
  ],
  cap_add: ['cap_add: [net_admin, ALL]', one('capabilityAdd'), ['CAP_NET_ADMIN', 'ALL']],
  cap_drop: ['cap_drop: [CAP_CHOWN]', one('capabilityDrop'), ['CAP_CHOWN']],
  cgroup: ['cgroup: private', one('cgroupnsMode'), 'private'],
  command: ['command: run "a b" $$HOME', one('args'), ['run', 'a b', '$HOME']],
  configs: [
    'configs: [{source: c, target: /etc/c, mode: 0440, uid: "5"}]',
    (spec) => {
      const [c] = container(spec)?.configs ?? [];
      return [c?.configName, c?.file?.path, c?.file?.mode, c?.file?.uid, c?.follow];
    },
    ['app_c', '/etc/c', 0o440, '5', true],
    'configs: {c: {content: x}}',
  ],
  cpu_period: ['cpu_period: 200000\ncpu_quota: 50000', (spec) => spec.task?.resources?.limits?.cpuNanos, 250_000_000],
  cpu_quota: ['cpu_quota: 50000', (spec) => spec.task?.resources?.limits?.cpuNanos, 500_000_000],
  cpu_shares: ['cpu_shares: 512', ({ task }) => task?.resources?.cpuShares, 512],
  cpus: ['cpus: "1.5"', (spec) => spec.task?.resources?.limits?.cpuNanos, 1_500_000_000],
  cpuset: ['cpuset: 0-1', ({ task }) => task?.resources?.cpusetCpus, '0-1'],
  depends_on: [
    'depends_on: {b: {condition: service_healthy, restart: true}}',
    ({ dependsOn }) => dependsOn.map(({ service, condition, restart }) => [service, condition, restart]),
    [['app_b', DependencyCondition.HEALTHY, true]],
    OTHER,
  ],
  deploy: ['deploy: {mode: global}', ({ mode }) => mode?.kind, 'global'],
  device_cgroup_rules: ['device_cgroup_rules: ["c 1:3 mr"]', one('deviceCgroupRules'), ['c 1:3 mr']],
  devices: [
    'devices: ["/dev/fuse:/dev/f:rw", "/dev/null:r"]',
    (spec) => container(spec)?.devices.map((d) => [d.pathOnHost, d.pathInContainer, d.permissions]),
    [
      ['/dev/fuse', '/dev/f', 'rw'],
      ['/dev/null', '/dev/null', 'r'],
    ],
  ],
  dns: ['dns: 1.1.1.1', (spec) => container(spec)?.dns?.nameservers, ['1.1.1.1']],
  dns_opt: ['dns_opt: ["ndots:1"]', (spec) => container(spec)?.dns?.options, ['ndots:1']],
  dns_search: ['dns_search: [x.y]', (spec) => container(spec)?.dns?.search, ['x.y']],
  domainname: ['domainname: x.y', one('domainname'), 'x.y'],
  entrypoint: ['entrypoint: [sh, -c]', one('command'), ['sh', '-c']],
  env_file: [
    'env_file: v.env\nenvironment: {BOTH: own}',
    (spec) => container(spec)?.env.toSorted(),
    ['BOTH=own', 'FROM=file'],
  ],
  environment: ['environment: [A=1, CALLER, NOBODY, "B=x=y"]', one('env'), ['A=1', 'CALLER=own', 'B=x=y']],
  extends: [
    'extends: b\nuser: u',
    (spec) => [container(spec)?.image, container(spec)?.user, container(spec)?.dir],
    ['i', 'u', '/w'],
    '  b: {image: b, working_dir: /w}\n',
  ],
  extra_hosts: ['extra_hosts: ["x=::1", "y:10.0.0.1"]', one('hosts'), ['::1 x', '10.0.0.1 y']],
  gpus: [
    'gpus: [{count: 2}]',
    ({ task }) => task?.resources?.reservations?.generic.map(({ kind, value }) => [kind, value?.value]),
    [['GPU', 2]],
  ],
  group_add: ['group_add: [g, 5]', one('groups'), ['g', '5']],
  healthcheck: [
    'healthcheck: {test: curl x, interval: 1m30s, timeout: 1s, retries: 4, start_period: 5s, start_interval: 1s}',
    (spec) => {
      const h = container(spec)?.healthcheck;
      return [h?.test, h?.intervalMs, h?.timeoutMs, h?.retries, h?.startPeriodMs, h?.startIntervalMs];
    },
    [['CMD-SHELL', 'curl x'], 90_000, 1000, 4, 5000, 1000],
  ],
  hostname: ['hostname: "h-{{.Task.Slot}}"', one('hostname'), 'h-{{.Task.Slot}}'],
  image: ['init: true', ({ labels, task }) => [labels['com.docker.stack.image'], task?.container?.image], ['i', 'i']],
  init: ['init: true', one('init'), true],
  ipc: ['ipc: shareable', one('ipcMode'), 'shareable'],
  label_file: [
    'label_file: labels\nlabels: {m: "2"}',
    one('labels'),
    { l: '1', m: '2', 'com.docker.stack.namespace': 'app' },
  ],
  labels: ['labels: [x=1, y]', one('labels'), { x: '1', y: '', 'com.docker.stack.namespace': 'app' }],
  links: [
    'networks: [default]',
    ({ task }) => task?.networks[0]?.aliases,
    ['a', 'mine'],
    '  b: {image: b, links: ["a:mine"]}\n',
  ],
  logging: [
    'logging: {driver: json-file, options: {max-size: 1m}}',
    ({ task }) => [task?.logDriver?.name, task?.logDriver?.options],
    ['json-file', { 'max-size': '1m' }],
  ],
  mem_limit: ['mem_limit: 64m', (spec) => spec.task?.resources?.limits?.memoryBytes, 64 * 1024 * 1024],
  mem_reservation: ['mem_reservation: 32m', ({ task }) => task?.resources?.reservations?.memoryBytes, 32 * 1024 * 1024],
  mem_swappiness: ['mem_swappiness: 10', ({ task }) => task?.resources?.memorySwappiness, 10],
  memswap_limit: ['mem_limit: 64m\nmemswap_limit: -1', ({ task }) => task?.resources?.memorySwapBytes, -1],
  network_mode: ['network_mode: host', ({ task }) => task?.networks.map(({ network }) => network), ['host']],
  networks: [
    'networks: {n: {aliases: [x], ipv4_address: 10.1.0.9}}',
    ({ task }) => task?.networks.map(({ network, aliases, addresses }) => [network, aliases, addresses]),
    [['app_n', ['a', 'x'], ['10.1.0.9']]],
    'networks: {n: {ipam: {config: [{subnet: 10.1.0.0/24}]}}}',
  ],
  oom_kill_disable: ['oom_kill_disable: true', one('oomKillDisable'), true],
  oom_score_adj: ['oom_score_adj: -500', one('oomScoreAdj'), -500],
  pid: ['pid: host', one('pidMode'), 'host'],
  pids_limit: ['pids_limit: 9', LIMITS, { cpuNanos: 0, memoryBytes: 0, pids: 9, generic: [] }],
  platform: ['platform: linux/arm64', ({ task }) => task?.placement?.constraints, ['node.platform.arch == arm64']],
  ports: [
    'ports: ["8000-8001:80-81", "53/udp", {target: 9, published: "99", mode: host, host_ip: 127.0.0.1, protocol: sctp}]',
    ({ endpoint }) => endpoint?.ports.map((p) => [p.publishedPort, p.targetPort, p.protocol, p.publishMode, p.hostIp]),
    [
      [8000, 80, PortProtocol.TCP, PublishMode.INGRESS, ''],
      [8001, 81, PortProtocol.TCP, PublishMode.INGRESS, ''],
      [0, 53, PortProtocol.UDP, PublishMode.INGRESS, ''],
      [99, 9, PortProtocol.SCTP, PublishMode.HOST, '127.0.0.1'],
    ],
  ],
  privileged: ['privileged: true', one('privileged'), true],
  profiles: ['profiles: []\nuser: u', one('user'), 'u'],
  read_only: ['read_only: true', one('readOnly'), true],
  restart: [
    'restart: "on-failure:3"',
    ({ task }) => [task?.restart?.condition, task?.restart?.maxAttempts],
    [RestartCondition.ON_FAILURE, 3],
  ],
  runtime: ['runtime: runc', one('runtime'), 'runc'],
  scale: ['scale: 4', ({ mode }) => mode?.value, { replicas: 4 }],
  secrets: [
    'secrets: [t, {source: e, x-env: TOKEN}]',
    (spec) => container(spec)?.secrets.map((s) => [s.secretName, s.file?.path, s.env, s.follow]),
    [
      ['app_t', 't', '', true],
      ['outside', undefined, 'TOKEN', false],
    ],
    'secrets: {t: {file: token}, e: {external: true, name: outside}}',
  ],
  security_opt: [
    'security_opt: [no-new-privileges, "seccomp:p.json", "apparmor=x", "label=type:t", systempaths=unconfined]',
    (spec) => {
      const s = container(spec)?.security;
      return [
        container(spec)?.noNewPrivileges,
        s?.seccompProfile,
        s?.apparmor,
        s?.selinuxLabels,
        s?.systemPathsUnconfined,
      ];
    },
    [true, '{"x":1}', 'x', { type: 't' }, true],
  ],
  shm_size: ['shm_size: 1g', one('shmSizeBytes'), 1024 ** 3],
  stdin_open: ['stdin_open: true', one('openStdin'), true],
  stop_grace_period: ['stop_grace_period: 1m', one('stopGracePeriodMs'), 60_000],
  stop_signal: ['stop_signal: SIGINT', one('stopSignal'), 'SIGINT'],
  sysctls: ['sysctls: [net.core.somaxconn=1]', one('sysctls'), { 'net.core.somaxconn': '1' }],
  tmpfs: [
    'tmpfs: ["/t:size=1m,mode=1770,noexec"]',
    (spec) => {
      const [m] = container(spec)?.mounts ?? [];
      return [m?.type, m?.target, m?.tmpfs?.sizeBytes, m?.tmpfs?.mode, m?.tmpfs?.options];
    },
    [MountType.TMPFS, '/t', 1024 * 1024, 0o1770, ['noexec']],
  ],
  tty: ['tty: true', one('tty'), true],
  ulimits: [
    'ulimits: {nproc: 5, nofile: {soft: 1, hard: -1}}',
    (spec) => container(spec)?.ulimits.map(({ name, soft, hard }) => [name, soft, hard]),
    [
      ['nofile', 1, -1],
      ['nproc', 5, 5],
    ],
  ],
  user: ['user: 1:2', one('user'), '1:2'],
  userns_mode: ['userns_mode: host', one('usernsMode'), 'host'],
  uts: ['uts: host', one('utsMode'), 'host'],
  volumes: [
    'volumes: ["v:/d:ro,nocopy", "./x:/x:rslave", /anonymous, {type: tmpfs, target: /r, tmpfs: {size: 5}}]',
    (spec) =>
      container(spec)?.mounts.map((m) => [
        m.type,
        m.source,
        m.target,
        m.readOnly,
        m.volume?.noCopy ?? m.bind?.propagation ?? m.tmpfs?.sizeBytes,
        m.volume?.driverOptions.o,
      ]),
    [
      [MountType.VOLUME, 'app_v', '/d', true, true, 'uid=5'],
      [MountType.BIND, '/project/x', '/x', false, MountPropagation.RSLAVE, undefined],
      [MountType.VOLUME, '', '/anonymous', false, false, undefined],
      [MountType.TMPFS, '', '/r', false, 5, undefined],
    ],
    'volumes: {v: {driver: local, driver_opts: {o: uid=5}}}',
  ],
  working_dir: ['working_dir: /w', one('dir'), '/w'],
};

export const DEPLOY_EXAMPLES: Readonly<Record<string, Example>> = {
  endpoint_mode: ['endpoint_mode: dnsrr', ({ endpoint }) => endpoint?.mode, EndpointMode.DNSRR],
  labels: ['labels: [x=1]', ({ labels }) => labels.x, '1'],
  mode: [
    'mode: replicated-job\nreplicas: 3',
    ({ mode }) => [mode?.kind, mode?.value],
    ['replicatedJob', { totalCompletions: 3, maxConcurrent: 3 }],
  ],
  placement: [
    'placement: {constraints: [node.role == worker], preferences: [{spread: node.labels.z}], max_replicas_per_node: 2}',
    ({ task }) => [task?.placement?.constraints, task?.placement?.preferences[0]?.spread, task?.placement?.maxReplicas],
    [['node.role == worker'], 'node.labels.z', 2],
  ],
  replicas: ['replicas: 7', ({ mode }) => mode?.value, { replicas: 7 }],
  resources: [
    'resources: {limits: {cpus: "0.5", memory: 10m, pids: 3}, reservations: {cpus: 0.25, memory: 5m, generic_resources: [{discrete_resource_spec: {kind: SSD, value: 2}}], devices: [{capabilities: [gpu], count: 1}]}}',
    ({ task }) => [
      task?.resources?.limits?.cpuNanos,
      task?.resources?.limits?.pids,
      task?.resources?.reservations?.cpuNanos,
      task?.resources?.reservations?.generic.map(({ kind, value }) => [kind, value?.value]),
    ],
    [
      5e8,
      3,
      2.5e8,
      [
        ['SSD', 2],
        ['GPU', 1],
      ],
    ],
  ],
  restart_policy: [
    'restart_policy: {condition: none, delay: 1s, max_attempts: 2, window: 3s}',
    ({ task }) => [
      task?.restart?.condition,
      task?.restart?.delayMs,
      task?.restart?.maxAttempts,
      task?.restart?.windowMs,
    ],
    [RestartCondition.NONE, 1000, 2, 3000],
  ],
  rollback_config: [
    'rollback_config: {parallelism: 0, order: stop-first}',
    ({ rollback }) => [rollback?.parallelism, rollback?.order],
    [0, UpdateOrder.STOP_FIRST],
  ],
  update_config: [
    'update_config: {parallelism: 2, delay: 1s, failure_action: rollback, monitor: 2s, max_failure_ratio: 0.5, order: auto}',
    ({ update: u }) => [u?.parallelism, u?.delayMs, u?.failureAction, u?.monitorMs, u?.maxFailureRatio, u?.order],
    [2, 1000, FailureAction.ROLLBACK, 2000, 0.5, UpdateOrder.AUTO],
  ],
};
