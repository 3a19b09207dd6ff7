/** The texts of /etc/hosts, /etc/hostname and /etc/resolv.conf. Pure. */
import { invalidField } from '#common/errors.ts';

const BASE_HOSTS = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::0\tip6-localnet',
  'ff00::0\tip6-mcastprefix',
  'ff02::1\tip6-allnodes',
  'ff02::2\tip6-allrouters',
];

/** `extra` are whole lines, "address name [alias...]"; `addresses` are the container's own, without prefix length. */
export function renderHosts(hostname: string, addresses: readonly string[], extra: readonly string[]): string {
  for (const line of extra)
    if (!/^[0-9a-fA-F:.]+(?:[ \t]+[^\s#]+)+$/.test(line.trim()))
      throw invalidField('hosts', `hosts: ${JSON.stringify(line)} is not "address name [alias...]"`);
  const own = addresses.map((address) => `${address}\t${hostname}`);
  return `${[...BASE_HOSTS, ...extra.map((line) => line.trim()), ...own].join('\n')}\n`;
}

export interface ResolverConfig {
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

export function renderResolvConf(config: ResolverConfig): string {
  for (const text of [...config.nameservers, ...config.search, ...config.options])
    if (!/^[^\s#;]+$/.test(text)) throw invalidField('dns', `dns: ${JSON.stringify(text)} has a space or is empty`);
  const lines = config.nameservers.map((address) => `nameserver ${address}`);
  if (config.search.length > 0) lines.push(`search ${config.search.join(' ')}`);
  if (config.options.length > 0) lines.push(`options ${config.options.join(' ')}`);
  return lines.map((line) => `${line}\n`).join('');
}
