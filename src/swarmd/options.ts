/** What `swarmd` can be told on its command line. */
import { isIP } from 'node:net';
import { isAbsolute } from 'node:path';
import { parseArgs } from 'node:util';
import { SwarmError } from '#common/errors.ts';
import { parseHostPort } from '#common/host-port.ts';
import type { GenericResource } from '#gen/swarm/v1/specs.ts';
import { genericResources } from './generic-resources.ts';

export type LogLevelName = 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface DaemonOptions {
  readonly stateDir: string;
  readonly runDir: string;
  /** Unix socket of the local API. */
  readonly socket: string;
  /** Name that cgroups of containers begin with, from the root of the hierarchy. */
  readonly cgroupParent: string;
  /** Name or path of the OCI runtime; undefined picks crun, else runc. */
  readonly runtime: string | undefined;
  /** Further OCI runtimes that services may name, with their absolute paths. */
  readonly addedRuntimes: ReadonlyMap<string, string>;
  readonly executor: 'oci' | 'simulated';
  readonly logLevel: LogLevelName;
  /** Where the cluster's port is served, in place of what init or join was told; undefined leaves that. */
  readonly listenAddress: string | undefined;
  /** The address that others reach this node at, in place of what init or join was told; undefined leaves that. */
  readonly advertiseAddress: string | undefined;
  /** Where other nodes send packets of networks, in place of the advertised address; undefined leaves that. */
  readonly dataPathAddress: string | undefined;
  /** host:port that Prometheus metrics are served on; undefined serves none. */
  readonly metricsAddress: string | undefined;
  /** Overrides the host's name in the node's description. */
  readonly hostname: string | undefined;
  readonly engineLabels: Readonly<Record<string, string>>;
  /** What the node has beside CPU and memory. */
  readonly genericResources: readonly GenericResource[];
  /** Registries that may be spoken to without TLS, or with a certificate that nobody signed. */
  readonly insecureRegistries: readonly string[];
  readonly gatewayPools: readonly string[];
  /** Percent of the images' file system: collection begins at high and ends at low. */
  readonly imageHighPercent: number;
  readonly imageLowPercent: number;
}

export type DaemonCommand =
  | { readonly kind: 'run'; readonly options: DaemonOptions }
  | { readonly kind: 'destroy'; readonly options: DaemonOptions }
  | { readonly kind: 'stop-tasks'; readonly options: DaemonOptions; readonly reason: string }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' };

export const HELP = `Usage: swarmd [OPTIONS]            run the daemon in the foreground
       swarmd stop-tasks [OPTIONS]  the host goes down: end this node's tasks in order
       swarmd destroy [OPTIONS]     remove everything of a stopped daemon from this host

Options:
  --state-dir DIR          identity, log, images, volumes (/var/lib/starling)
  --run-dir DIR            what does not outlive the host's boot (/run/starling)
  --socket PATH            the local API (RUN-DIR/swarm.sock)
  --cgroup-parent PATH     cgroups of containers begin with this (/starling)
  --runtime NAME           OCI runtime by name or path (crun, else runc)
  --add-runtime NAME=PATH  another one that services may name, may be repeated
  --executor oci|simulated how tasks are run (oci)
  --listen-addr ADDR       where other nodes reach this one: IP, IP:PORT or INTERFACE (what init or join was told)
  --advertise-addr ADDR    the address that others are told, for a host whose address has changed
  --data-path-addr ADDR    where other nodes send packets of networks (the advertised address)
  --hostname NAME          name of this node (that of the host)
  --label KEY=VALUE        label of the engine, may be repeated
  --node-generic-resource KIND=VALUE
                           what services can reserve here: SSD=3, or GPU=NAME for each, may be repeated
  --metrics-addr HOST:PORT serve Prometheus metrics there (off)
  --insecure-registry HOST registry without TLS or with an unknown certificate, may be repeated
  --gateway-pool CIDR      addresses for the node's gateway network, may be repeated
  --image-high PERCENT     collect unused images above this share of their file system (85)
  --image-low PERCENT      until this share is reached (75)
  --reason TEXT            of stop-tasks, for the managers
  --log-level LEVEL        debug, info, warn, error or silent (info)
  --help, --version
`;

function bad(flag: string, message: string, hint: string): SwarmError {
  return new SwarmError({ code: 'invalid', reason: 'bad-flag', field: flag, message: `${flag}: ${message}`, hint });
}

const FLAGS = {
  'state-dir': { type: 'string', default: '/var/lib/starling' },
  'run-dir': { type: 'string', default: '/run/starling' },
  socket: { type: 'string' },
  'cgroup-parent': { type: 'string', default: '/starling' },
  runtime: { type: 'string' },
  'add-runtime': { type: 'string', multiple: true, default: [] as string[] },
  executor: { type: 'string', default: 'oci' },
  'listen-addr': { type: 'string' },
  'advertise-addr': { type: 'string' },
  'data-path-addr': { type: 'string' },
  hostname: { type: 'string' },
  label: { type: 'string', multiple: true, default: [] as string[] },
  'node-generic-resource': { type: 'string', multiple: true, default: [] as string[] },
  'metrics-addr': { type: 'string' },
  'insecure-registry': { type: 'string', multiple: true, default: [] as string[] },
  'gateway-pool': { type: 'string', multiple: true, default: [] as string[] },
  'image-high': { type: 'string', default: '85' },
  'image-low': { type: 'string', default: '75' },
  reason: { type: 'string', default: 'the host is going down' },
  'log-level': { type: 'string', default: 'info' },
  help: { type: 'boolean', short: 'h', default: false },
  version: { type: 'boolean', short: 'v', default: false },
} as const;

type Values = ReturnType<typeof parse>['values'];

function parse(argv: readonly string[]) {
  return parseArgs({ args: [...argv], options: FLAGS, allowPositionals: true, strict: true });
}

/** @throws SwarmError that names the flag, the value, the rule and the way out. */
export function parseCommand(argv: readonly string[]): DaemonCommand {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(argv);
  } catch (thrown) {
    const message = thrown instanceof Error ? (thrown.message.split('. ')[0] ?? '') : String(thrown);
    throw new SwarmError({ code: 'invalid', reason: 'bad-flag', message, hint: 'see swarmd --help' });
  }
  const { values, positionals } = parsed;
  if (values.help) return { kind: 'help' };
  if (values.version) return { kind: 'version' };
  const options = optionsOf(values);
  const [command, ...rest] = positionals;
  if (rest.length > 0) throw bad(rest.join(' '), 'is not expected', 'see swarmd --help');
  switch (command) {
    case undefined:
      return { kind: 'run', options };
    case 'destroy':
      return { kind: 'destroy', options };
    case 'stop-tasks':
      return { kind: 'stop-tasks', options, reason: values.reason };
    default:
      throw bad(command, 'is not a command', 'see swarmd --help');
  }
}

function dataPathAddress(value: string | undefined): string | undefined {
  if (value === undefined || isIP(value) !== 0) return value;
  throw bad(
    '--data-path-addr',
    `${value} is not an IP address`,
    'use the address of the device for packets of networks',
  );
}

function optionsOf(values: Values): DaemonOptions {
  const stateDir = directory('--state-dir', values['state-dir']);
  const runDir = directory('--run-dir', values['run-dir']);
  const socket = values.socket === undefined ? `${runDir}/swarm.sock` : directory('--socket', values.socket);
  if (Buffer.byteLength(socket) > 100)
    throw bad('--socket', `${socket} is longer than the 100 bytes a socket's path may have`, 'use a shorter path');
  const high = percent('--image-high', values['image-high']);
  const low = percent('--image-low', values['image-low']);
  if (low >= high) throw bad('--image-low', `${low} is not below --image-high ${high}`, 'leave some room between them');
  return {
    stateDir,
    runDir,
    socket,
    cgroupParent: cgroupParent(values['cgroup-parent']),
    runtime: values.runtime,
    addedRuntimes: addedRuntimes(values['add-runtime']),
    executor: choice('--executor', values.executor, ['oci', 'simulated']),
    logLevel: choice('--log-level', values['log-level'], ['debug', 'info', 'warn', 'error', 'silent']),
    listenAddress: nodeAddress('--listen-addr', values['listen-addr']),
    advertiseAddress: nodeAddress('--advertise-addr', values['advertise-addr']),
    dataPathAddress: dataPathAddress(values['data-path-addr']),
    metricsAddress:
      values['metrics-addr'] === undefined ? undefined : address('--metrics-addr', values['metrics-addr']),
    hostname: values.hostname === undefined ? undefined : hostname(values.hostname),
    engineLabels: labels(values.label),
    genericResources: genericResources(values['node-generic-resource']),
    insecureRegistries: values['insecure-registry'],
    gatewayPools: values['gateway-pool'],
    imageHighPercent: high,
    imageLowPercent: low,
  };
}

function directory(flag: string, path: string): string {
  if (!isAbsolute(path) || /[:,\n\0]/.test(path) || path.split('/').includes('..'))
    throw bad(flag, `${JSON.stringify(path)} is not an absolute path without : , and ..`, 'give another path');
  return path.length > 1 ? path.replace(/\/+$/, '') : path;
}

function cgroupParent(path: string): string {
  if (!/^(\/[A-Za-z0-9][A-Za-z0-9_.-]*)+$/.test(path))
    throw bad('--cgroup-parent', `${JSON.stringify(path)} is not a cgroup path`, 'use something like /starling');
  return path;
}

function addedRuntimes(texts: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    texts.map((text) => {
      const [, name, path] = /^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})=(\/.+)$/.exec(text) ?? [];
      if (name === undefined || path === undefined)
        throw bad('--add-runtime', `${JSON.stringify(text)} is not NAME=PATH`, 'give the absolute path of the runtime');
      return [name, directory('--add-runtime', path)];
    }),
  );
}

function percent(flag: string, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > 100)
    throw bad(flag, `${JSON.stringify(text)} is not 1 to 100`, 'give a number');
  return value;
}

function choice<const T extends string>(flag: string, text: string, choices: readonly T[]): T {
  const found = choices.find((one) => one === text);
  if (found === undefined) throw bad(flag, `${JSON.stringify(text)} is not known`, `use ${choices.join(', ')}`);
  return found;
}

function address(flag: string, text: string): string {
  const match = /^\[?([^\]]*)\]?:(\d{1,5})$/.exec(text);
  if (match === null || isIP(match[1] ?? '') === 0 || Number(match[2]) > 65535)
    throw bad(flag, `${JSON.stringify(text)} is not ADDRESS:PORT`, 'use something like 127.0.0.1:9323');
  return text;
}

/** Interfaces are looked up when the address is used: they may not be there yet. */
function nodeAddress(flag: string, text: string | undefined): string | undefined {
  if (text === undefined || /^:\d{1,5}$/.test(text) || parseHostPort(text, 1) !== undefined) return text;
  throw bad(flag, `${JSON.stringify(text)} is not an address`, 'write IP, IP:PORT, INTERFACE or INTERFACE:PORT');
}

function hostname(text: string): string {
  if (!/^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$/.test(text))
    throw bad('--hostname', `${JSON.stringify(text)} is not a host name`, 'use letters, digits, . and -');
  return text;
}

function labels(texts: readonly string[]): Record<string, string> {
  const found = new Map<string, string>();
  for (const text of texts) {
    const at = text.indexOf('=');
    if (at === 0) throw bad('--label', `${JSON.stringify(text)} has no key`, 'write KEY=VALUE');
    found.set(at < 0 ? text : text.slice(0, at), at < 0 ? '' : text.slice(at + 1));
  }
  return Object.fromEntries(found);
}
