/** One example for every flag of `service create` and `service update` that changes what is declared. */

export interface FlagExample {
  /** What is given, the flag included. */
  readonly words: readonly string[];
  /** What the service is made with, for the flag to mean something: of create in the same call, of update before. */
  readonly with?: readonly string[];
}

const JOB = ['--mode', 'replicated-job'];
const SCHEDULED = [...JOB, '--schedule', '@daily'];
const EMPTY: readonly string[] = [];

/** Flags of both commands that set one value. */
const SCALARS: Readonly<Record<string, string | readonly [value: string, needed: readonly string[]]>> = {
  'blkio-weight': '200',
  'cap-add': 'NET_ADMIN',
  'cap-drop': 'CHOWN',
  cgroupns: 'host',
  'cpu-shares': '512',
  'cpuset-cpus': '0',
  'cpuset-mems': '0',
  domainname: 'example.org',
  drain: '7s',
  'endpoint-mode': 'dnsrr',
  entrypoint: '/bin/true',
  gpus: '1',
  'health-cmd': 'true',
  'health-interval': ['7s', ['--health-cmd', 'true']],
  'health-retries': ['7', ['--health-cmd', 'true']],
  'health-start-interval': ['7s', ['--health-cmd', 'true']],
  'health-start-period': ['7s', ['--health-cmd', 'true']],
  'health-timeout': ['7s', ['--health-cmd', 'true']],
  hostname: 'box',
  ipc: 'private',
  'job-deadline': ['7s', JOB],
  'job-history': ['7', JOB],
  'limit-cpu': '0.5',
  'limit-memory': '64m',
  'limit-pids': '7',
  'liveness-probe': 'tcp:80',
  'log-driver': 'none',
  'log-opt': 'max-size=7m',
  'max-concurrent': ['2', [...JOB, '--replicas', '9']],
  'memory-soft-limit': '32m',
  'memory-swap': ['128m', ['--limit-memory', '64m']],
  'memory-swappiness': '7',
  'oom-score-adj': '7',
  pid: 'host',
  'placement-strategy': 'binpack',
  priority: '7',
  'readiness-probe': 'http:80/ready',
  replicas: '7',
  'replicas-max-per-node': '7',
  'reserve-cpu': '0.5',
  'reserve-memory': '64m',
  'restart-condition': 'none',
  'restart-delay': '7s',
  'restart-max-attempts': '7',
  'restart-window': '7s',
  'rollback-delay': '7s',
  'rollback-failure-action': 'continue',
  'rollback-max-failure-ratio': '0.7',
  'rollback-monitor': '7s',
  'rollback-order': 'start-first',
  'rollback-parallelism': '7',
  'rollback-progress-deadline': '7m',
  runtime: 'runc',
  schedule: ['@hourly', SCHEDULED],
  'schedule-overlap': ['queue', SCHEDULED],
  'schedule-start-deadline': ['7s', SCHEDULED],
  'schedule-timezone': ['Europe/Berlin', SCHEDULED],
  'shm-size': '7m',
  'startup-probe': 'exec:true',
  'stop-after-disconnect': '17s',
  'stop-grace-period': '7s',
  'stop-signal': 'SIGINT',
  'update-canaries': '1',
  'update-delay': '7s',
  'update-failure-action': 'continue',
  'update-max-failure-ratio': '0.7',
  'update-monitor': '7s',
  'update-order': 'start-first',
  'update-parallelism': '7',
  'update-progress-deadline': '7m',
  user: '7',
  userns: 'host',
  uts: 'host',
  workdir: '/srv',
};

/** Flags of both commands that are there or not. */
const SWITCHES: Readonly<Record<string, readonly string[]>> = {
  init: EMPTY,
  'no-healthcheck': EMPTY,
  'oom-kill-disable': ['--limit-memory', '64m'],
  preempt: EMPTY,
  privileged: EMPTY,
  'read-only': EMPTY,
  'schedule-suspend': SCHEDULED,
  tty: EMPTY,
  'update-auto-promote': ['--update-canaries', '1'],
};

/** Lists: the value that create and `-add` take, and how `-rm` names it. */
const LISTS: Readonly<Record<string, readonly [value: string, name: string]>> = {
  affinity: ['web', 'web'],
  annotation: ['a=b', 'a'],
  'anti-affinity': ['web', 'web'],
  'blkio-weight-device': ['/dev/sda:200', '/dev/sda'],
  config: ['settings', 'settings'],
  constraint: ['node.role==worker', 'node.role==worker'],
  'container-label': ['a=b', 'a'],
  device: ['/dev/fuse', '/dev/fuse'],
  'device-cgroup-rule': ['c 1:* r', 'c 1:* r'],
  'device-read-bps': ['/dev/sda:1mb', '/dev/sda'],
  'device-read-iops': ['/dev/sda:7', '/dev/sda'],
  'device-write-bps': ['/dev/sda:1mb', '/dev/sda'],
  'device-write-iops': ['/dev/sda:7', '/dev/sda'],
  dns: ['9.9.9.9', '9.9.9.9'],
  'dns-option': ['ndots:2', 'ndots:2'],
  'dns-search': ['example.org', 'example.org'],
  env: ['A=1', 'A'],
  'generic-resource': ['SSD=2', 'SSD'],
  group: ['7', '7'],
  host: ['a:10.0.0.1', 'a:10.0.0.1'],
  label: ['a=b', 'a'],
  mount: ['type=tmpfs,target=/scratch', '/scratch'],
  network: ['none', 'none'],
  'placement-pref': ['spread=node.labels.zone', 'spread=node.labels.zone'],
  publish: ['18080:80', '80'],
  secret: ['password', 'password'],
  'security-opt': ['no-new-privileges', 'no-new-privileges'],
  sysctl: ['net.core.somaxconn=7', 'net.core.somaxconn'],
  ulimit: ['nofile=7', 'nofile'],
};

export const CREATE_EXAMPLES: ReadonlyMap<string, FlagExample> = new Map([
  ...Object.entries(SCALARS).map(([flag, value]): [string, FlagExample] => scalarExample(flag, value, 'create')),
  ...Object.entries(SWITCHES).map(([flag, needed]): [string, FlagExample] => [
    flag,
    { words: [`--${flag}`], with: needed },
  ]),
  ...Object.entries(LISTS).map(([flag, [value]]): [string, FlagExample] => [flag, { words: [`--${flag}`, value] }]),
  ['mode', { words: ['--mode', 'global'] }],
]);

export const UPDATE_EXAMPLES: ReadonlyMap<string, FlagExample> = new Map([
  ...Object.entries(SCALARS).map(([flag, value]): [string, FlagExample] => scalarExample(flag, value, 'update')),
  ...Object.entries(SWITCHES).map(([flag, needed]): [string, FlagExample] => [
    flag,
    { words: [`--${flag}`], with: needed },
  ]),
  ...Object.entries(LISTS).flatMap(([flag, [value, name]]): [string, FlagExample][] => [
    [`${flag}-add`, { words: [`--${flag}-add`, value] }],
    [`${flag}-rm`, { words: [`--${flag}-rm`, name], with: [`--${flag}`, value] }],
  ]),
  ...['liveness', 'readiness', 'startup'].map((kind): [string, FlagExample] => [
    `${kind}-probe-rm`,
    { words: [`--${kind}-probe-rm`], with: [`--${kind}-probe`, 'tcp:80'] },
  ]),
  ['args', { words: ['--args', 'true'] }],
  ['force', { words: ['--force'] }],
  ['image', { words: ['--image', 'other:1'] }],
  ['schedule-resume', { words: ['--schedule-resume'], with: [...SCHEDULED, '--schedule-suspend'] }],
  ['schedule-rm', { words: ['--schedule-rm'], with: SCHEDULED }],
]);

function scalarExample(
  flag: string,
  value: string | readonly [string, readonly string[]],
  verb: 'create' | 'update',
): [string, FlagExample] {
  const [text, needed] = typeof value === 'string' ? [value, EMPTY] : value;
  // What is asked for already, of create, is the flag itself.
  const base = verb === 'create' && needed.includes(`--${flag}`) ? JOB : needed;
  return [flag, { words: [`--${flag}`, text], with: base }];
}

/** Those that say how the command goes on, or where values come from: what shows them is elsewhere. */
export const ABOUT_THE_CALL: ReadonlySet<string> = new Set([
  'detach',
  'env-file',
  'name',
  'no-resolve-image',
  'quiet',
  'rollback',
  'with-registry-auth',
]);
