/** resolv.conf(5): what the host's says, and what a container's has to say. Pure text work. */
import type { DnsConfig } from '#gen/swarm/v1/specs.ts';
import { parseHostAddress } from './host-address.ts';

/** Where containers find their server: Docker's address, which images and scripts know. */
export const CONTAINER_NAMESERVER = '127.0.0.11';
/** What glibc reads at most. */
export const NAMESERVERS_MAX = 3;

export interface ResolvConf {
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** Of several `search` or `domain` lines the last one counts, as in the C library. */
export function readResolvConf(text: string): ResolvConf {
  const nameservers: string[] = [];
  const options: string[] = [];
  let search: readonly string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/);
    if (keyword === 'nameserver' && values[0] !== undefined) nameservers.push(values[0]);
    else if (keyword === 'options') options.push(...values);
    else if (keyword === 'search' || keyword === 'domain') search = values;
  }
  return { nameservers, search, options };
}

/** The servers among the texts that can be asked: addresses, three at most, none twice. */
export function usableNameservers(texts: readonly string[]): readonly string[] {
  const addresses = texts.filter((text) => parseHostAddress(text) !== undefined && !text.includes('/'));
  return [...new Set(addresses)].slice(0, NAMESERVERS_MAX);
}

export function isLoopbackAddress(text: string): boolean {
  return text.startsWith('127.') || text === '::1' || text.toLowerCase().startsWith('::ffff:127.');
}

/** The number that the options give for ndots; undefined when they give none. */
export function ndotsOf(options: readonly string[]): number | undefined {
  let ndots: number | undefined;
  for (const option of options) {
    const match = /^ndots:(\d{1,2})$/.exec(option);
    if (match !== null) ndots = Number(match[1]);
  }
  return ndots;
}

/**
 * The resolv.conf of a container whose names the resolver answers. Its own `--dns` servers are asked by the resolver, not
 * by the container. Swarm has no search domain: the service's own count, else the host's; "." alone means none. Every
 * name is tried as it stands first (ndots:0), unless options say otherwise, as in Docker.
 */
export function containerResolvConf(hostText: string, dns: DnsConfig | undefined): string {
  const host = readResolvConf(hostText);
  const search = dns !== undefined && dns.search.length > 0 ? dns.search : host.search;
  const options = dns !== undefined && dns.options.length > 0 ? dns.options : host.options;
  const lines = [`nameserver ${CONTAINER_NAMESERVER}`];
  if (search.length > 0 && !(search.length === 1 && search[0] === '.')) lines.push(`search ${search.join(' ')}`);
  lines.push(`options ${[...options, ...(ndotsOf(options) === undefined ? ['ndots:0'] : [])].join(' ')}`);
  return lines.map((line) => `${line}\n`).join('');
}
