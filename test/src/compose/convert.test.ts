/**
 * Goal: every key of the Compose Spec is honoured, left out with a warning, or refused with its place, and none is passed
 * over in silence. Method: an example for each key with what it has to come to; the tables of keys say what has to have
 * one.
 */
import assert from 'node:assert/strict';
import {
  DependencyCondition,
  EndpointMode,
  FailureAction,
  JobOverlap,
  MountPropagation,
  MountType,
  PortProtocol,
  PublishMode,
  RestartCondition,
  type ServiceSpec,
  UpdateOrder,
} from '#gen/swarm/v1/specs.ts';
import { DEPLOY_KEYS, type KeyTable, NETWORK_KEYS, SERVICE_KEYS, TOP_KEYS } from '#src/compose/keys.ts';
import { refusal, stack } from './support.ts';

const FILES = { 'v.env': 'FROM=file\nBOTH=file\n', labels: 'l=1\n', 'p.json': '{"x":1}', token: 'data' };

/** The service `a` with these keys, and what else the file has. */
async function a(body: string, rest = ''): Promise<ServiceSpec> {
  const { services } = await stack(`services:\n  a:\n    image: i\n${body.replace(/^/gm, '    ')}\n${rest}`, {
    files: FILES,
    variables: { CALLER: 'own' },
  });
  const found = services.find(({ name }) => name === 'app_a');
  assert.ok(found !== undefined);
  return found;
}

type Reads = (spec: ServiceSpec) => unknown;
type Example = readonly [body: string, read: Reads, wanted: unknown, rest?: string];

const container = (spec: ServiceSpec) => spec.task?.container;
const one =
  (field: keyof NonNullable<ReturnType<typeof container>>): Reads =>
  (spec) =>
    container(spec)?.[field];
const OTHER = '  b: {image: b}\n';
const LIMITS: Reads = ({ task }) => task?.resources?.limits;

const EXAMPLES: Readonly<Record<string, Example>> = {
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

const DEPLOY_EXAMPLES: Readonly<Record<string, Example>> = {
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

const namesOf = (table: KeyTable, kind: 'honoured' | 'leftOut' | 'refused'): readonly string[] =>
  Object.entries(table)
    .filter(([, rule]) => (rule === 'honoured' ? kind === 'honoured' : kind in rule))
    .map(([name]) => name);

describe('compose: keys', () => {
  it('every key that is honoured has an example', () => {
    assert.deepEqual(Object.keys(EXAMPLES).sort(), namesOf(SERVICE_KEYS, 'honoured').toSorted());
    assert.deepEqual(Object.keys(DEPLOY_EXAMPLES).sort(), namesOf(DEPLOY_KEYS, 'honoured').toSorted());
  });

  for (const [key, [body, read, wanted, rest]] of Object.entries(EXAMPLES))
    it(`services.${key}`, async () => assert.deepEqual(read(await a(body, rest)), wanted));

  for (const [key, [body, read, wanted]] of Object.entries(DEPLOY_EXAMPLES))
    it(`services.deploy.${key}`, async () => {
      assert.deepEqual(read(await a(`deploy:\n${body.replace(/^/gm, '  ')}`)), wanted);
    });

  it('what has no meaning is left out with a warning that has its place', async () => {
    for (const key of namesOf(SERVICE_KEYS, 'leftOut')) {
      const { warnings } = await stack(`services:\n  a:\n    image: i\n    ${key}: x\n`);
      assert.match(warnings.join(), new RegExp(`^c\\.yml:4:5: services\\.a\\.${key}: left out: .+; .+`), key);
    }
    const { warnings } = await stack('version: "3.8"\nservices: {a: {image: i}}\nnetworks: {n: }');
    assert.match(warnings.join('\n'), /c\.yml:1:1: version: left out.*\n.*networks\.n: left out: no service uses it/s);
  });

  it('what cannot be is refused with its place and a way out', async () => {
    for (const [table, at, body] of [
      [SERVICE_KEYS, 'services.a', (key: string) => `services:\n  a:\n    image: i\n    ${key}: x\n`],
      [TOP_KEYS, '', (key: string) => `services: {a: {image: i}}\n${key}: x\n`],
    ] as const)
      for (const key of namesOf(table, 'refused')) {
        const [first = ''] = (await refusal(body(key))).split('\n');
        assert.match(first, new RegExp(`^c\\.yml:\\d+:\\d+: ${at}\\.?${key}: .+; .+`), key);
      }
  });

  it('all that is wrong is named at once, unknown keys with what may have been meant', async () => {
    const message = await refusal(
      'services:\n  a:\n    imagee: i\n    enviroment: {A: 1}\n    deploy: {replicas: many, placment: }\n  b: {image: b, ports: ["x"]}\nvolums: {}\nnetworks: {n: {drvier: x}}\n',
    );
    for (const words of [
      /c\.yml:3:5: services\.a\.imagee: there is no such key; did you mean image\?/,
      /services\.a\.enviroment: there is no such key; did you mean environment\?/,
      /c\.yml:5:24: services\.a\.deploy\.replicas: "many" is not a whole number/,
      /services\.a\.deploy\.placment: .*placement/,
      /services\.b\.ports\[0\]: port "x"/,
      /volums: there is no such key; did you mean volumes\?/,
      /networks\.n\.drvier: .*driver/,
      /services\.a\.image: the service has no image/,
    ])
      assert.match(message, words);
  });

  it('references to what is not in the file are named', async () => {
    assert.match(
      await refusal('services: {a: {image: i, volumes: ["v:/v"]}}'),
      /there is no volume v in the file.*volumes: \{v: \}/,
    );
    assert.match(await refusal('services: {a: {image: i, networks: [n]}}'), /there is no network n in the file/);
    assert.match(await refusal('services: {a: {image: i, secrets: [s]}}'), /there is no secret s in the file/);
    assert.match(await refusal('services: {a: {image: i, configs: [s]}}'), /there is no config s in the file/);
    assert.match(await refusal('services: {a: {image: i, depends_on: [z]}}'), /there is no service z in the file/);
    assert.match(
      await refusal('services: {a: {image: i, depends_on: [b]}, b: {image: i, depends_on: [a]}}'),
      /services wait for each other: a -> b -> a/,
    );
    assert.match(
      await refusal('services: {a: {image: i, secrets: [s]}}\nsecrets: {s: {file: gone}}'),
      /secrets\.s\.file: the file \/project\/gone cannot be read/,
    );
    assert.match(
      await refusal('services: {a: {image: i, env_file: gone}}'),
      /env_file\[0\]: the file \/project\/gone cannot be read/,
    );
    assert.match(await refusal('services: {a: {build: .}}'), /image: the service is to be built/);
  });

  it('names are those of docker stack', async () => {
    const { services, networks, secrets, configs, volumes } = await stack(
      'services: {a: {image: i, volumes: ["v:/v", "w:/w"], secrets: [s], configs: [c], networks: [n, m, default]}}\nvolumes: {v: , w: {name: fixed}}\nsecrets: {s: {environment: X}}\nconfigs: {c: {content: x, name: exact}}\nnetworks: {n: , m: {external: true, name: edge}, default: {driver: overlay, attachable: true}}',
      { variables: { X: 'secret' } },
    );
    assert.deepEqual(
      services.map(({ name }) => name),
      ['app_a'],
    );
    assert.deepEqual(
      services[0]?.task?.networks.map(({ network }) => network),
      ['app_n', 'edge', 'app_default'],
    );
    assert.deepEqual(
      networks.map(({ name, attachable }) => [name, attachable]),
      [
        ['app_n', false],
        ['app_default', true],
      ],
    );
    assert.deepEqual(
      secrets.map(({ spec, data }) => [spec?.name, Buffer.from(data).toString()]),
      [['app_s', 'secret']],
    );
    assert.deepEqual(
      configs.map(({ spec }) => spec?.name),
      ['exact'],
    );
    assert.deepEqual(
      volumes.map(({ name }) => name),
      ['app_v', 'fixed'],
    );
    for (const { labels } of [...services, ...networks, ...volumes])
      assert.equal(labels['com.docker.stack.namespace'], 'app');
    assert.ok(NETWORK_KEYS.driver);
  });

  it('profiles leave services out until they are asked for', async () => {
    const file = 'services: {a: {image: i}, b: {image: i, profiles: [more]}}';
    const names = async (profiles: readonly string[]) =>
      (await stack(file, { profiles })).services.map(({ name }) => name);
    assert.deepEqual(await names([]), ['app_a']);
    assert.deepEqual(await names(['more']), ['app_a', 'app_b']);
    assert.deepEqual(await names(['*']), ['app_a', 'app_b']);
    assert.match(
      await refusal('services: {a: {image: i, depends_on: [b]}, b: {image: i, profiles: [more]}}'),
      /b is left out: it is of profile more; add --profile more/,
    );
  });

  it('a service whose end is waited for is a job, and x-swarm has what the spec has no keys for', async () => {
    const job = await a('user: u', '  b: {image: b, depends_on: {a: {condition: service_completed_successfully}}}\n');
    assert.equal(job.mode?.kind, 'replicatedJob');
    const clock = await a(
      'x-swarm: {job: {schedule: "@daily", time_zone: Europe/Berlin, overlap: replace, deadline: 1h, history: 3}, drain: 5s, priority: 7}',
    );
    assert.deepEqual(
      [
        clock.mode?.kind,
        clock.job?.schedule?.cron,
        clock.job?.schedule?.overlap,
        clock.job?.deadlineMs,
        clock.job?.historyLimit,
        clock.endpoint?.drainMs,
        clock.task?.placement?.priority,
      ],
      ['replicatedJob', '@daily', JobOverlap.REPLACE, 3_600_000, 3, 5000, 7],
    );
    const probed = await a(
      'x-swarm: {probes: {readiness: {http: {port: 80, path: /ready}, interval: 1s}}, update: {canaries: 1, progress_deadline: 1m}}',
    );
    assert.deepEqual(
      [
        probed.task?.container?.probes?.readiness?.intervalMs,
        probed.update?.canaries,
        probed.update?.progressDeadlineMs,
      ],
      [1000, 1, 60_000],
    );
    assert.match(
      await refusal('services: {a: {image: i, x-swarm: {jobs: 1}}}'),
      /x-swarm\.jobs: there is no such key; did you mean job\?/,
    );
  });
});
