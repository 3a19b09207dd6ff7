/** The rules for what networks of a new swarm are made of. It is decided once, at `swarm init`. */

import { invalidField } from '#common/errors.ts';
import { formatPrefix, type IpPrefix, parsePrefix, prefixesOverlap } from '#common/ip.ts';
import type { InitSwarmRequest } from '#gen/swarm/v1/node.ts';
import { DEFAULT_POOLS, DEFAULT_SUBNET_SIZE } from '#manager/allocator/index.ts';

/** Docker's range: below are ports of other services, above those that the kernel chooses by itself. */
const PORT_FIRST = 1024;
const PORT_LAST = 49_151;
/** Smaller networks have room for five tasks at most. */
const SUBNET_SIZE_MAX = 29;
const POOL_FIELD = 'default-addr-pool';
const SIZE_FIELD = 'default-addr-pool-mask-length';

export type NetworkDefaults = Pick<InitSwarmRequest, 'defaultAddressPools' | 'subnetSize' | 'dataPathPort'>;

/** @throws SwarmError for the first value that breaks a rule; empty ones and 0 mean the default */
export function validateNetworkDefaults({ defaultAddressPools, subnetSize, dataPathPort }: NetworkDefaults): void {
  if (dataPathPort !== 0 && (dataPathPort < PORT_FIRST || dataPathPort > PORT_LAST))
    throw invalidField(
      'data-path-port',
      `data-path-port: ${dataPathPort} is not between ${PORT_FIRST} and ${PORT_LAST}`,
      'choose a port of that range, or leave it out for 4789',
    );
  if (subnetSize > SUBNET_SIZE_MAX)
    throw invalidField(
      SIZE_FIELD,
      `${SIZE_FIELD}: ${subnetSize} leaves networks without room for tasks`,
      `use ${SUBNET_SIZE_MAX} or less; without it a network has /${DEFAULT_SUBNET_SIZE}`,
    );
  const pools = defaultAddressPools.map(poolOf);
  for (const [place, a] of pools.entries())
    for (const b of pools.slice(place + 1))
      if (prefixesOverlap(a, b))
        throw invalidField(
          POOL_FIELD,
          `${POOL_FIELD}: ${formatPrefix(a)} and ${formatPrefix(b)} overlap`,
          'give pools that have no address in common',
        );
  const size = subnetSize || DEFAULT_SUBNET_SIZE;
  for (const pool of pools.length > 0 ? pools : DEFAULT_POOLS.map(poolOf)) {
    if (pool.family !== 4 || pool.length <= size) continue;
    throw invalidField(
      POOL_FIELD,
      `${POOL_FIELD}: ${formatPrefix(pool)} is smaller than one network of /${size}`,
      `give a larger pool, or smaller networks: --${SIZE_FIELD} ${Math.min(pool.length + 2, SUBNET_SIZE_MAX)}`,
    );
  }
}

function poolOf(text: string): IpPrefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined)
    throw invalidField(
      POOL_FIELD,
      `${POOL_FIELD}: ${JSON.stringify(text)} is not a block of addresses`,
      'write something like 10.32.0.0/12',
    );
  const { prefix, address } = parsed;
  const longest = prefix.family === 4 ? SUBNET_SIZE_MAX : 64;
  if (address.value !== prefix.first)
    throw invalidField(
      POOL_FIELD,
      `${POOL_FIELD}: ${text} has bits beyond its prefix of ${prefix.length}`,
      `write ${formatPrefix(prefix)}, or give a longer prefix`,
    );
  if (prefix.length > longest || prefix.length < 8)
    throw invalidField(
      POOL_FIELD,
      `${POOL_FIELD}: ${text} is not of a size that networks can be cut from`,
      `use a prefix from /8 to /${longest}`,
    );
  return prefix;
}
