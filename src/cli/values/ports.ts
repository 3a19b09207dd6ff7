/**
 * `--publish`: `published=8080,target=80[,mode=host][,protocol=udp][,host-ip=ADDRESS][,traffic-policy=local]`, and
 * Docker's short form `[[ADDRESS:]8080:]80[/udp]`, which means ingress.
 */
import { isIP } from 'node:net';
import { PortConfig, PortProtocol, PublishMode, TrafficPolicy } from '#gen/swarm/v1/specs.ts';
import { FlagValueError } from '../cli-errors.ts';
import { csvFields } from './csv.ts';
import { keyValue } from './key-values.ts';

const PROTOCOLS: Readonly<Record<string, PortProtocol>> = {
  tcp: PortProtocol.TCP,
  udp: PortProtocol.UDP,
  sctp: PortProtocol.SCTP,
};

const MODES: Readonly<Record<string, PublishMode>> = { host: PublishMode.HOST, ingress: PublishMode.INGRESS };

const POLICIES: Readonly<Record<string, TrafficPolicy>> = {
  cluster: TrafficPolicy.CLUSTER,
  'prefer-local': TrafficPolicy.PREFER_LOCAL,
  local: TrafficPolicy.LOCAL,
};

const PORT_MAX = 65535;

/** Ports to publish. */
export function publishedPorts(text: string): readonly PortConfig[] {
  return anyPorts(text).map((port) =>
    port.publishMode === PublishMode.UNSPECIFIED ? { ...port, publishMode: PublishMode.INGRESS } : port,
  );
}

/** Ports as written: the mode is unspecified where none is named, which `--publish-rm` takes for any. */
export function anyPorts(text: string): readonly PortConfig[] {
  return /\w+=\w+/.test(text) ? [longForm(text)] : shortForm(text);
}

interface PortFields {
  protocol: PortProtocol;
  publishMode: PublishMode;
  targetPort: number;
  publishedPort: number;
  hostIp: string;
  trafficPolicy: TrafficPolicy;
}

function longForm(text: string): PortConfig {
  const port: PortFields = {
    protocol: PortProtocol.TCP,
    publishMode: PublishMode.UNSPECIFIED,
    targetPort: 0,
    publishedPort: 0,
    hostIp: '',
    trafficPolicy: TrafficPolicy.UNSPECIFIED,
  };
  for (const field of csvFields(text)) {
    if (!field.includes('=')) throw new FlagValueError(`invalid field: ${field}`);
    const { key, value = '' } = keyValue(field.toLowerCase());
    takeField(port, key, value);
  }
  if (port.targetPort === 0) fail("missing mandatory field 'target'");
  return PortConfig.create(port);
}

function takeField(port: PortFields, key: string, value: string): void {
  switch (key) {
    case 'protocol':
      port.protocol = lookUp(PROTOCOLS, value) ?? fail(`invalid protocol value '${value}'`);
      break;
    case 'mode':
      port.publishMode =
        lookUp(MODES, value) ?? fail(`invalid publish mode value (${value}): must be either 'ingress' or 'host'`);
      break;
    case 'target':
      port.targetPort = portNumber(value, 'target');
      break;
    case 'published':
      port.publishedPort = portNumber(value, 'published');
      break;
    case 'host-ip':
    case 'host_ip':
      port.hostIp = hostAddress(value);
      break;
    case 'traffic-policy':
      port.trafficPolicy =
        lookUp(POLICIES, value) ??
        fail(`invalid traffic policy (${value}): must be one of ${Object.keys(POLICIES).join(', ')}`);
      break;
    default:
      fail(`invalid field key: ${key}`);
  }
}

function lookUp<T>(table: Readonly<Record<string, T>>, word: string): T | undefined {
  return Object.hasOwn(table, word) ? table[word] : undefined;
}

function fail(message: string): never {
  throw new FlagValueError(message);
}

function portNumber(text: string, what: string): number {
  if (!/^\d+$/.test(text)) return fail(`invalid ${what} port (${text}): value must be an integer: invalid syntax`);
  const value = Number(text);
  if (value > PORT_MAX) return fail(`invalid ${what} port (${text}): value must be an integer: value out of range`);
  return value;
}

/** An address of the host, which may be in brackets. All of them are written as none. */
function hostAddress(text: string): string {
  const address = text.replace(/^\[(.*)\]$/, '$1');
  if (isIP(address) === 0) fail(`invalid IP address: ${address}`);
  return address === '0.0.0.0' || address === '::' ? '' : address;
}

/** `[[IP:]HOST:]CONTAINER[/PROTOCOL]`, each port a number or a range. */
function shortForm(text: string): readonly PortConfig[] {
  const [spec = '', protocolName = 'tcp', ...more] = text.split('/');
  const protocol = lookUp(PROTOCOLS, protocolName.toLowerCase());
  if (protocol === undefined || more.length > 0) fail(`invalid proto: ${text.slice(spec.length + 1)}`);
  const parts = spec.split(':');
  const container = parts.pop() ?? '';
  const host = parts.pop() ?? '';
  const address = parts.join(':');
  if (address !== '' && !/^(?:\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:.]+\])$/.test(address))
    fail(`invalid IP address: ${address}`);
  if (container === '') fail(`no port specified: ${text}<empty>`);
  const targets = range(container) ?? fail(`invalid containerPort: ${container}`);
  const published = host === '' ? undefined : (range(host) ?? fail(`invalid hostPort: ${host}`));
  if (published !== undefined && targets.length > 1 && published.length !== targets.length)
    fail(`invalid ranges specified for container and host Ports: ${container} and ${host}`);
  const hostIp = address === '' ? '' : hostAddress(address);
  const port = (targetPort: number, publishedPort: number): PortConfig =>
    PortConfig.create({ protocol, targetPort, publishedPort, hostIp });
  // A range that leads to one port: each of it does.
  const [onlyTarget = 0] = targets;
  if (published === undefined) return targets.map((target) => port(target, 0));
  return published.map((number, i) => port(targets.length > 1 ? (targets[i] ?? 0) : onlyTarget, number));
}

function range(text: string): readonly number[] | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  if (first > last || last > PORT_MAX) return undefined;
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
