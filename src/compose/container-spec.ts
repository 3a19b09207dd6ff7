/** What runs in a task: every key of a service that is about its container. */
import { isIP } from 'node:net';
import {
  type ConfigReference,
  ContainerSpec,
  DnsConfig,
  HealthCheck,
  LogDriver,
  type Mount,
  type SecretReference,
  Ulimit,
} from '#gen/swarm/v1/specs.ts';
import { FlagValueError } from '../cli/cli-errors.ts';
import { shellWords } from '../cli/values/shell-words.ts';
import type { Fields } from './fields.ts';
import { honoured, type KeyTable } from './keys.ts';
import type { StackNames } from './names.ts';
import { devicesOf, securityOf } from './security-spec.ts';

export interface ContainerParts {
  readonly names: StackNames;
  readonly mounts: readonly Mount[];
  readonly secrets: readonly SecretReference[];
  readonly configs: readonly ConfigReference[];
  /** Contents of seccomp profiles by their path. */
  readonly profiles: ReadonlyMap<string, string>;
}

export function containerSpec(service: Fields, parts: ContainerParts): ContainerSpec {
  return ContainerSpec.create({
    image: imageOf(service),
    labels: parts.names.labels(service.record('labels')),
    command: commandOf(service, 'entrypoint'),
    args: commandOf(service, 'command'),
    env: Object.entries(service.record('environment')).map(([name, value]) => `${name}=${value}`),
    hostname: service.text('hostname') ?? '',
    domainname: service.text('domainname') ?? '',
    dir: service.text('working_dir') ?? '',
    user: service.text('user') ?? '',
    groups: service.texts('group_add'),
    tty: service.bool('tty') ?? false,
    openStdin: service.bool('stdin_open') ?? false,
    readOnly: service.bool('read_only') ?? false,
    init: service.bool('init'),
    stopSignal: service.text('stop_signal') ?? '',
    stopGracePeriodMs: service.durationMs('stop_grace_period'),
    mounts: parts.mounts,
    secrets: parts.secrets,
    configs: parts.configs,
    hosts: hostsOf(service),
    dns: dnsOf(service),
    healthcheck: healthOf(service),
    sysctls: service.record('sysctls'),
    ulimits: ulimitsOf(service),
    capabilityAdd: service.texts('cap_add').map(capability),
    capabilityDrop: service.texts('cap_drop').map(capability),
    oomScoreAdj: service.integer('oom_score_adj', -1000) ?? 0,
    oomKillDisable: service.bool('oom_kill_disable') ?? false,
    privileged: service.bool('privileged') ?? false,
    devices: devicesOf(service),
    deviceCgroupRules: service.texts('device_cgroup_rules'),
    ...securityOf(service, parts.profiles),
    shmSizeBytes: service.bytes('shm_size') ?? 0,
    pidMode: modeOf(service, 'pid', ['host']),
    ipcMode: modeOf(service, 'ipc', ['host', 'none', 'private', 'shareable']),
    usernsMode: modeOf(service, 'userns_mode', ['host']),
    cgroupnsMode: modeOf(service, 'cgroup', ['host', 'private']),
    utsMode: modeOf(service, 'uts', ['host']),
    runtime: service.text('runtime') ?? '',
    annotations: service.record('annotations'),
  });
}

function imageOf(service: Fields): string {
  const image = service.text('image');
  if (image !== undefined && image !== '') return image;
  const builds = service.has('build');
  service.error(
    'image',
    builds
      ? 'the service is to be built, and a stack is deployed from images that are built already'
      : 'the service has no image',
    builds ? 'build it (swarm build -t NAME DIRECTORY) and name it: image: NAME' : 'name one: image: NAME:TAG',
  );
  return '';
}

/** A text is divided as a shell would; a list is taken as it is. */
function commandOf(service: Fields, key: 'command' | 'entrypoint'): readonly string[] {
  const node = service.node(key);
  if (node === undefined) return [];
  if (node.kind === 'list') {
    if (node.items.length === 0) refuseEmpty(service, key);
    return service.texts(key);
  }
  const text = service.text(key);
  if (text === undefined) return [];
  try {
    const words = shellWords(text);
    if (words.length === 0) refuseEmpty(service, key);
    return words;
  } catch (thrown) {
    if (!(thrown instanceof FlagValueError)) throw thrown;
    service.error(key, thrown.message, 'write it as a list: [program, argument]');
    return [];
  }
}

function refuseEmpty(service: Fields, key: string): void {
  service.error(key, "an empty one cannot take the place of the image's", 'leave it out, or name a program');
}

/** The kernel's names. */
function capability(name: string): string {
  const upper = name.trim().toUpperCase();
  return upper === 'ALL' || upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
}

/** Lines of /etc/hosts. */
function hostsOf(service: Fields): readonly string[] {
  return service.texts('extra_hosts').flatMap((text) => {
    const at = text.indexOf('=');
    const name = text.slice(0, at).trim();
    const address = text
      .slice(at + 1)
      .trim()
      .replace(/^\[(.*)\]$/, '$1');
    if (address === 'host-gateway') {
      service.error(
        'extra_hosts',
        `${name}: host-gateway is another address on every node`,
        'give an address that all nodes reach',
      );
      return [];
    }
    if (at <= 0 || name === '' || isIP(address) === 0) {
      service.error('extra_hosts', `${JSON.stringify(text)} is no name with an address`, 'write "NAME=ADDRESS"');
      return [];
    }
    return [`${address} ${name}`];
  });
}

function dnsOf(service: Fields): DnsConfig | undefined {
  const [nameservers, search, options] = [service.texts('dns'), service.texts('dns_search'), service.texts('dns_opt')];
  if (nameservers.length + search.length + options.length === 0) return undefined;
  return DnsConfig.create({ nameservers, search, options });
}

const HEALTH_KEYS = honoured('test', 'interval', 'timeout', 'retries', 'start_period', 'start_interval', 'disable');

function healthOf(service: Fields): HealthCheck | undefined {
  const fields = service.fields('healthcheck', HEALTH_KEYS);
  if (fields === undefined) return undefined;
  const node = fields.node('test');
  if (fields.bool('disable') === true) {
    if (node !== undefined) fields.error('disable', 'it cannot be given together with test', 'leave one of them out');
    return HealthCheck.create({ test: ['NONE'] });
  }
  const texts = fields.texts('test');
  const test = node?.kind === 'scalar' ? ['CMD-SHELL', ...texts] : texts;
  if (test.length > 0 && !['NONE', 'CMD', 'CMD-SHELL'].includes(test[0] ?? ''))
    fields.error(
      'test',
      `${JSON.stringify(test[0])} is not how a check begins`,
      'begin the list with CMD, CMD-SHELL or NONE',
    );
  return HealthCheck.create({
    test,
    intervalMs: fields.durationMs('interval'),
    timeoutMs: fields.durationMs('timeout'),
    retries: fields.integer('retries'),
    startPeriodMs: fields.durationMs('start_period'),
    startIntervalMs: fields.durationMs('start_interval'),
  });
}

const ULIMIT_KEYS = honoured('soft', 'hard');

function ulimitsOf(service: Fields): readonly Ulimit[] {
  const all = service.fields('ulimits');
  if (all === undefined) return [];
  return [...all.map.entries.keys()].sort().flatMap((name) => {
    if (all.node(name)?.kind !== 'map') {
      const value = all.integer(name, -1);
      return value === undefined ? [] : [Ulimit.create({ name, soft: value, hard: value })];
    }
    const fields = all.fields(name, ULIMIT_KEYS);
    const soft = fields?.integer('soft', -1);
    const hard = fields?.integer('hard', -1);
    if (soft === undefined || hard === undefined) {
      all.error(name, 'it needs both limits', 'write {soft: 1024, hard: 2048}');
      return [];
    }
    return [Ulimit.create({ name, soft, hard })];
  });
}

function modeOf(service: Fields, key: string, known: readonly string[]): string {
  const mode = service.text(key);
  if (mode === undefined || mode === '') return '';
  if (known.includes(mode)) return mode;
  const shared = /^(?:service|container):/.test(mode);
  service.error(
    key,
    shared ? `${mode}: the other container may be on another node` : `${JSON.stringify(mode)} is not known`,
    `use ${known.join(', ')}, or leave it out`,
  );
  return '';
}

const LOGGING_KEYS: KeyTable = honoured('driver', 'options');

export function logDriverOf(service: Fields): LogDriver | undefined {
  const fields = service.fields('logging', LOGGING_KEYS);
  if (fields === undefined) return undefined;
  return LogDriver.create({ name: fields.text('driver') ?? '', options: fields.record('options') });
}
