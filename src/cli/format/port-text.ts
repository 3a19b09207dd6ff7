import type { PortConfig } from '#gen/swarm/v1/specs.ts';

/** Where a port is published: `*` for all addresses, an IPv6 address in brackets. */
export function publishedHost({ hostIp }: PortConfig): string {
  if (hostIp === '') return '*';
  return hostIp.includes(':') ? `[${hostIp}]` : hostIp;
}
