/** `host:port` as users give it and as managers publish it. */

export interface HostPort {
  /** Host name or address; an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

const HOST_MAX_LENGTH = 253;
const NAME = /^[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?)*\.?$/;
const ZONE = /%[a-zA-Z0-9_.-]+$/;
const GROUP = /^[0-9a-fA-F]{1,4}$/;
const IPV4 = /^((25[0-5]|2[0-4]\d|1?\d?\d)(\.(?!$)|$)){4}$/;
const PORT = /^[0-9]{1,5}$/;

/** Reads `host`, `host:port`, `[v6]`, `[v6]:port` or a bare v6 address; undefined for anything else. */
export function parseHostPort(text: string, defaultPort: number): HostPort | undefined {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) {
    const [, host = '', port] = bracketed;
    return isIpv6(host) ? withPort(host, port, defaultPort) : undefined;
  }
  const firstColon = text.indexOf(':');
  if (firstColon !== text.lastIndexOf(':')) return isIpv6(text) ? { host: text, port: defaultPort } : undefined;
  const host = firstColon === -1 ? text : text.slice(0, firstColon);
  const port = firstColon === -1 ? undefined : text.slice(firstColon + 1);
  return host.length <= HOST_MAX_LENGTH && NAME.test(host) ? withPort(host, port, defaultPort) : undefined;
}

/** The one text for an endpoint, with brackets around an IPv6 address. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function isIpv6(text: string): boolean {
  const halves = text.replace(ZONE, '').split('::');
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  const last = groups.at(-1) ?? '';
  const endsInIpv4 = IPV4.test(last) && !text.endsWith('::');
  const count = groups.length + (endsInIpv4 ? 1 : 0);
  const plain = endsInIpv4 ? groups.slice(0, -1) : groups;
  return plain.every((group) => GROUP.test(group)) && (halves.length === 2 ? count < 8 : count === 8);
}

function withPort(host: string, port: string | undefined, defaultPort: number): HostPort | undefined {
  if (port === undefined) return { host, port: defaultPort };
  const number = Number(port);
  return PORT.test(port) && number > 0 && number <= 65_535 ? { host, port: number } : undefined;
}
