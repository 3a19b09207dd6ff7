/** The addresses of a node as users give them: an IP address or an interface, with or without a port. */
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { SwarmError } from '#common/errors.ts';
import { formatHostPort, type HostPort, parseHostPort } from '#common/host-port.ts';

export const CLUSTER_PORT = 2377;

function bad(flag: string, message: string, hint: string): SwarmError {
  return new SwarmError({ code: 'invalid', reason: 'bad-flag', field: flag, message: `${flag}: ${message}`, hint });
}

/** `host`, `host:port`, `[v6]:port`, `v6`, `:port`. */
function split(flag: string, text: string, defaultPort: number): HostPort {
  // An address without a host means all of them, which parseHostPort has no word for.
  const parsed = parseHostPort(/^:\d/.test(text) ? `0.0.0.0${text}` : text, defaultPort);
  if (parsed === undefined)
    throw bad(flag, `${JSON.stringify(text)} is not an address`, 'write IP, IP:PORT, INTERFACE or INTERFACE:PORT');
  return parsed;
}

interface HostAddress {
  readonly interfaceName: string;
  readonly address: string;
  readonly family: 'IPv4' | 'IPv6';
  readonly internal: boolean;
}

function hostAddresses(): readonly HostAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([interfaceName, addresses]) =>
    (addresses ?? [])
      .filter((one) => !(one.family === 'IPv6' && one.address.startsWith('fe80')))
      .map(({ address, family, internal }) => ({ interfaceName, address, family, internal })),
  );
}

/** An interface's name becomes its one address of the better family. */
function resolveHost(flag: string, host: string): string {
  if (isIP(host) !== 0) return host;
  const all = hostAddresses().filter((one) => one.interfaceName === host);
  const ipv4 = all.filter((one) => one.family === 'IPv4');
  const candidates = ipv4.length > 0 ? ipv4 : all;
  const [first] = candidates;
  if (first === undefined)
    throw bad(flag, `${JSON.stringify(host)} is neither an IP address nor an interface with one`, 'see `ip address`');
  if (candidates.length > 1)
    throw bad(
      flag,
      `the interface ${host} has more than one address (${candidates.map((one) => one.address).join(', ')})`,
      'name one of them',
    );
  return first.address;
}

/** Where to listen; all addresses when nothing is said. */
export function listenAddress(text: string): HostPort {
  if (text === '') return { host: '0.0.0.0', port: CLUSTER_PORT };
  const { host, port } = split('--listen-addr', text, CLUSTER_PORT);
  return { host: resolveHost('--listen-addr', host), port };
}

/** The address that others reach this node at. */
export function advertiseAddress(text: string, listen: HostPort): HostPort {
  if (text !== '') {
    const { host, port } = split('--advertise-addr', text, listen.port);
    const resolved = resolveHost('--advertise-addr', host);
    if (resolved === '0.0.0.0' || resolved === '::')
      throw bad(
        '--advertise-addr',
        `${resolved} is no address that others could reach`,
        'name an address of this host',
      );
    return { host: resolved, port };
  }
  if (listen.host !== '0.0.0.0' && listen.host !== '::') return listen;
  return { host: onlyAddress(), port: listen.port };
}

export interface KeptAddresses {
  readonly listen: string;
  readonly advertise: string;
}

/**
 * The addresses of a member after the daemon was started with others; empty ones are not given. An advertised port that
 * was the one listened on follows it.
 */
export function replacedAddresses(kept: KeptAddresses, given: KeptAddresses): KeptAddresses {
  const keptListen = listenAddress(kept.listen);
  const listen = given.listen === '' ? keptListen : listenAddress(given.listen);
  if (given.advertise !== '')
    return {
      listen: formatHostPort(listen),
      advertise: formatHostPort(advertiseAddress(given.advertise, listen)),
    };
  const advertised = parseHostPort(kept.advertise, CLUSTER_PORT);
  if (advertised === undefined) return { listen: formatHostPort(listen), advertise: kept.advertise };
  const port = advertised.port === keptListen.port ? listen.port : advertised.port;
  return { listen: formatHostPort(listen), advertise: formatHostPort({ host: advertised.host, port }) };
}

/** The host alone of host:port, as containers and other nodes are told it. */
export function hostOf(address: string): string {
  return parseHostPort(address, CLUSTER_PORT)?.host ?? '';
}

/** The host's address, if there is no doubt which; in Docker's words if there is. */
function onlyAddress(): string {
  // Link-local ones are no way to this host from afar; among them are those of our own links to containers.
  const candidates = hostAddresses().filter(
    (one) => !one.internal && one.family === 'IPv4' && !one.address.startsWith('169.254.'),
  );
  const [first] = candidates;
  if (first === undefined)
    throw new SwarmError({
      code: 'precondition',
      reason: 'bad-flag',
      field: '--advertise-addr',
      message: 'could not find an IP address of this system to advertise',
      hint: 'specify one with --advertise-addr',
    });
  if (candidates.length > 1) {
    const [one, other] = candidates;
    throw new SwarmError({
      code: 'precondition',
      reason: 'bad-flag',
      field: '--advertise-addr',
      message: `could not choose an IP address to advertise since this system has multiple addresses on different interfaces (${one?.address} on ${one?.interfaceName} and ${other?.address} on ${other?.interfaceName})`,
      hint: 'specify one with --advertise-addr',
    });
  }
  return first.address;
}
