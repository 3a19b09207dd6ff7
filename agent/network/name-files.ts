/** What a container finds at /etc/hostname, /etc/hosts and /etc/resolv.conf. Pure text work. */
import { containerResolvConf, type ResolvConf, readResolvConf } from '#agent/dns/index.ts';
import type { AttachRequest, DnsSettings, NameFiles } from './task-network.ts';

const STUB_RESOLVER = '127.0.0.53';
/** What glibc reads at most. */
const NAMESERVERS_MAX = 3;

const HOSTS_HEAD = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::\tip6-localnet',
  'ff00::\tip6-mcastprefix',
  'ff02::1\tip6-allnodes',
  'ff02::2\tip6-allrouters',
];

/** Whether the file names only systemd's stub, so that the real resolvers stand in another file. */
export function isStubResolver(settings: ResolvConf): boolean {
  return settings.nameservers.length > 0 && settings.nameservers.every((address) => address === STUB_RESOLVER);
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

/** Whether a task gets there: nothing routes link-local addresses, and a node without IPv6 no others of it. */
function isReached(address: string, hasIpv6: boolean): boolean {
  if (isLoopback(address)) return false;
  return !address.includes(':') || (hasIpv6 && !address.includes('%') && !/^fe[89ab]/i.test(address));
}

/**
 * The resolv.conf of a task in its own namespace: the host's, without resolvers that no task reaches; with none left, the
 * fallback.
 */
export function taskResolvConf(
  host: ResolvConf,
  dns: DnsSettings | undefined,
  fallback: readonly string[],
  hasIpv6: boolean,
): string {
  const reachable = host.nameservers.filter((address) => isReached(address, hasIpv6));
  const inherited = reachable.length > 0 ? reachable : fallback;
  return formatResolvConf({
    nameservers: chosen(dns?.nameservers, inherited),
    search: searchOf(dns, host),
    options: chosen(dns?.options, host.options),
  });
}

/** In the host's namespace every resolver of the host works: its settings, changed only by the task's own. */
export function hostModeResolvConf(hostText: string, dns: DnsSettings | undefined): string {
  if (dns === undefined || dns.nameservers.length + dns.search.length + dns.options.length === 0) return hostText;
  const host = readResolvConf(hostText);
  return formatResolvConf({
    nameservers: chosen(dns.nameservers, host.nameservers),
    search: searchOf(dns, host),
    options: chosen(dns.options, host.options),
  });
}

function chosen(own: readonly string[] | undefined, inherited: readonly string[]): readonly string[] {
  return own !== undefined && own.length > 0 ? own : inherited;
}

function searchOf(dns: DnsSettings | undefined, host: ResolvConf): readonly string[] {
  const search = chosen(dns?.search, host.search);
  return search.length === 1 && search[0] === '.' ? [] : search;
}

function formatResolvConf(settings: ResolvConf): string {
  const lines = settings.nameservers.slice(0, NAMESERVERS_MAX).map((address) => `nameserver ${address}`);
  if (settings.search.length > 0) lines.push(`search ${settings.search.join(' ')}`);
  if (settings.options.length > 0) lines.push(`options ${settings.options.join(' ')}`);
  return lines.map((line) => `${line}\n`).join('');
}

export interface HostsInput {
  readonly hostname: string;
  /** The task's own address; undefined with loopback only. */
  readonly address: string | undefined;
  readonly extra: readonly string[];
  /** Stands for "host-gateway" in extra lines. */
  readonly hostAddress: string | undefined;
}

/** The hosts file of a task in its own namespace. */
export function taskHosts(input: HostsInput): string {
  const lines = [...HOSTS_HEAD];
  for (const line of input.extra) {
    const words = line.trim().split(/\s+/);
    if (words.length < 2) continue;
    if (words[0] === 'host-gateway') {
      if (input.hostAddress === undefined) continue;
      words[0] = input.hostAddress;
    }
    lines.push(`${words[0]}\t${words.slice(1).join(' ')}`);
  }
  if (input.hostname !== '') lines.push(`${input.address ?? '127.0.1.1'}\t${namesOf(input.hostname)}`);
  return lines.map((line) => `${line}\n`).join('');
}

/** "web.example.org web" for a full name, so that both are found. */
function namesOf(hostname: string): string {
  const dot = hostname.indexOf('.');
  return dot < 0 ? hostname : `${hostname} ${hostname.slice(0, dot)}`;
}

function fullName({ hostname, domainName }: AttachRequest): string {
  return domainName === undefined ? hostname : `${hostname}.${domainName}`;
}

/** What the host has, for tasks to inherit. */
export interface HostNameFiles {
  /** Text of the host's own resolv.conf, and of the one behind systemd's stub where it is one. */
  readonly resolvConf: string;
  readonly realResolvConf: string;
  readonly hosts: string;
}

export interface NameFilesInput {
  readonly request: AttachRequest;
  readonly address: string | undefined;
  readonly hostAddress: string | undefined;
  readonly host: HostNameFiles;
  readonly fallbackNameservers: readonly string[];
  /** Whether tasks of this node have IPv6. */
  readonly hasIpv6: boolean;
  /** Its server is 127.0.0.11; that one asks the task's own servers, or the host's. */
  readonly asksResolver: boolean;
}

export function nameFiles(input: NameFilesInput): NameFiles {
  const { request, host, address, hostAddress } = input;
  const extra = request.hosts ?? [];
  const hostname = `${request.hostname}\n`;
  if (request.mode === 'host') {
    const separator = host.hosts === '' || host.hosts.endsWith('\n') ? '' : '\n';
    const added = extra.map(
      (line) =>
        `${line
          .trim()
          .replace(/^host-gateway\b/, '127.0.0.1')
          .replace(/\s+/, '\t')}\n`,
    );
    return {
      hostname,
      hosts: `${host.hosts}${separator}${added.join('')}`,
      resolvConf: hostModeResolvConf(host.resolvConf, request.dns),
    };
  }
  return {
    hostname,
    hosts: taskHosts({ hostname: fullName(request), address, extra, hostAddress }),
    resolvConf: input.asksResolver
      ? containerResolvConf(host.realResolvConf, request.dns)
      : taskResolvConf(readResolvConf(host.realResolvConf), request.dns, input.fallbackNameservers, input.hasIpv6),
  };
}
