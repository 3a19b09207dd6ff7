/** `--publish`: `mode=host,published=8080,target=80[,protocol=udp]`, and Docker's short form, which means ingress. */
import { PortConfig, PortProtocol, PublishMode } from '#gen/swarm/v1/specs.ts';
import { FlagValueError } from '../cli-errors.ts';
import { csvFields } from './csv.ts';
import { keyValue } from './key-values.ts';

const PROTOCOLS: Readonly<Record<string, PortProtocol>> = {
  tcp: PortProtocol.TCP,
  udp: PortProtocol.UDP,
  sctp: PortProtocol.SCTP,
};

const MODES: Readonly<Record<string, PublishMode>> = { host: PublishMode.HOST, ingress: PublishMode.INGRESS };

const PORT_MAX = 65535;

/** Ports to publish on the nodes. The routing mesh is refused, and so are host ports that are left to chance. */
export function publishedPorts(text: string): readonly PortConfig[] {
  const ports = anyPorts(text);
  for (const port of ports)
    if (port.publishMode !== PublishMode.HOST)
      throw new FlagValueError(
        'mode ingress (the routing mesh) is not part of this release',
        `publish on the nodes that run a task: --publish ${hostForm(port)}`,
      );
  return ports;
}

/** The same port in the form that this release has. */
function hostForm(port: PortConfig): string {
  const protocol = port.protocol === PortProtocol.TCP ? '' : `,protocol=${nameOf(port.protocol)}`;
  return `mode=host,published=${port.publishedPort || port.targetPort},target=${port.targetPort}${protocol}`;
}

function nameOf(protocol: PortProtocol): string {
  return Object.keys(PROTOCOLS).find((name) => PROTOCOLS[name] === protocol) ?? 'tcp';
}

/** Ports as written, whatever their mode; for `--publish-rm` only the target port and the protocol matter. */
export function anyPorts(text: string): readonly PortConfig[] {
  return /\w+=\w+/.test(text) ? [longForm(text)] : shortForm(text);
}

function longForm(text: string): PortConfig {
  let protocol: PortProtocol = PortProtocol.TCP;
  let publishMode: PublishMode = PublishMode.INGRESS;
  let targetPort = 0;
  let publishedPort = 0;
  for (const field of csvFields(text)) {
    const { key, value = '' } = keyValue(field);
    if (!field.includes('=')) throw new FlagValueError(`invalid field: ${field}`);
    switch (key) {
      case 'protocol':
        protocol = lookUp(PROTOCOLS, value) ?? fail(`invalid protocol value '${value}'`);
        break;
      case 'mode':
        publishMode =
          lookUp(MODES, value) ?? fail(`invalid publish mode value (${value}): must be either 'ingress' or 'host'`);
        break;
      case 'target':
        targetPort = portNumber(value, 'target');
        break;
      case 'published':
        publishedPort = portNumber(value, 'published');
        break;
      default:
        fail(`invalid field key: ${key}`);
    }
  }
  if (targetPort === 0) fail("missing mandatory field 'target'");
  return PortConfig.create({ protocol, publishMode, targetPort, publishedPort });
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

/** `[[IP:]HOST:]CONTAINER[/PROTOCOL]`, each port a number or a range. */
function shortForm(text: string): readonly PortConfig[] {
  const [spec = '', protocolName = 'tcp', ...more] = text.split('/');
  const protocol = lookUp(PROTOCOLS, protocolName.toLowerCase());
  if (protocol === undefined || more.length > 0) fail(`invalid proto: ${text.slice(spec.length + 1)}`);
  const parts = spec.split(':');
  const container = parts.pop() ?? '';
  const host = parts.pop() ?? '';
  const address = parts.join(':');
  if (address !== '' && !/^(?:\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:]+\])$/.test(address))
    fail(`invalid IP address: ${address}`);
  if (container === '') fail(`no port specified: ${text}<empty>`);
  const targets = range(container) ?? fail(`invalid containerPort: ${container}`);
  const published = host === '' ? undefined : (range(host) ?? fail(`invalid hostPort: ${host}`));
  if (published !== undefined && published.length !== targets.length)
    fail(`invalid ranges specified for container and host Ports: ${container} and ${host}`);
  return targets.map((targetPort, i) =>
    PortConfig.create({
      protocol,
      publishMode: PublishMode.INGRESS,
      targetPort,
      publishedPort: published?.[i] ?? 0,
    }),
  );
}

function range(text: string): readonly number[] | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  if (first > last || last > PORT_MAX) return undefined;
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
