/** Which addresses the gateway network of this node uses: decided once, kept in the run directory. */
import { isIPv6 } from 'node:net';
import { SwarmError } from '#common/errors.ts';
import { type InstanceNames, LINK_PAIRS } from './instance.ts';
import { formatAddress, formatPrefix, type Prefix, parseAddress, parsePrefix, prefixesOverlap } from './ipv4.ts';

export interface AddressPlan {
  /** Tasks get addresses from here. */
  readonly pool: Prefix;
  /** The host's end of the cable to the gateway namespace. */
  readonly hostAddress: number;
  /** The gateway namespace's end. */
  readonly gatewayAddress: number;
  readonly mtu: number;
  /** We turned on IPv4 forwarding in the host's namespace: guard it, and turn it off again at the end. */
  readonly forwardingIsOurs: boolean;
  /** The same of IPv6. */
  readonly forwarding6IsOurs: boolean;
  /** Devices of the host that were told to go on hearing routers although the host forwards now. */
  readonly advertisedDevices: readonly string[];
  /** Undefined until this node is told of an ingress network. */
  readonly ingress: IngressPlan | undefined;
}

/** What the host has to do with the ingress network, whose addresses tasks have beside those of the pool. */
export interface IngressPlan {
  /** Of IPv4: "10.0.0.0/24". */
  readonly subnets: readonly string[];
  /** Of IPv6: "fd00::/64". */
  readonly subnets6: readonly string[];
  /** An address of this host that other nodes can answer; undefined without one of IPv4. */
  readonly nodeAddress: string | undefined;
  /** What this host is known by over IPv6; undefined without one. */
  readonly nodeAddress6: string | undefined;
}

/** Addresses that the host uses already. */
export interface OccupiedPrefix {
  readonly prefix: Prefix;
  /** What uses it, as the user knows it: "eth0", "a resolver of this host". */
  readonly by: string;
}

const LINK_BASE = 0xa9fe4000; // 169.254.64.0: clear of 169.254.1.1, .2.x and .169.254, which have other meanings
const POOL_LENGTH_MIN = 8;
const POOL_LENGTH_MAX = 24;

function parsePool(text: string): Prefix {
  const pool = parsePrefix(text);
  if (pool !== undefined && pool.length >= POOL_LENGTH_MIN && pool.length <= POOL_LENGTH_MAX) return pool;
  throw new SwarmError({
    code: 'invalid',
    reason: 'address-pool',
    field: 'gatewayPools',
    message: `gateway pool ${JSON.stringify(text)} is not an IPv4 network of /${POOL_LENGTH_MIN} to /${POOL_LENGTH_MAX}`,
    hint: 'write it like 10.255.0.0/16, with no bits set behind the prefix',
  });
}

/** The first pool that meets nothing on the host. Throws `address-pool`, naming every collision. */
export function choosePool(pools: readonly string[], occupied: readonly OccupiedPrefix[]): Prefix {
  const collisions: string[] = [];
  for (const text of pools) {
    const pool = parsePool(text);
    const collision = occupied.find((one) => prefixesOverlap(one.prefix, pool));
    if (collision === undefined) return pool;
    collisions.push(`${text} collides with ${formatPrefix(collision.prefix)} (${collision.by})`);
  }
  throw new SwarmError({
    code: 'precondition',
    reason: 'address-pool',
    field: 'gatewayPools',
    message: `no gateway pool is free: ${collisions.join(', ') || 'none is configured'}`,
    hint: 'choose another pool for the gateway network, one that this host has no route to',
  });
}

/** The two addresses of the cable: the instance's own pair, or the next one that meets nothing on the host. */
export function chooseLinkPair(
  names: InstanceNames,
  occupied: readonly OccupiedPrefix[],
): Pick<AddressPlan, 'hostAddress' | 'gatewayAddress'> {
  // A route to all of 169.254/16 (zeroconf) is no obstacle: ours are more specific.
  const specific = occupied.filter((one) => one.prefix.length > 16);
  for (let step = 0; step < LINK_PAIRS; step++) {
    const base = LINK_BASE + 2 * ((names.firstLinkPair + step) % LINK_PAIRS);
    if (specific.some((one) => prefixesOverlap(one.prefix, { base, length: 31 }))) continue;
    return { hostAddress: base, gatewayAddress: base + 1 };
  }
  throw new SwarmError({
    code: 'exhausted',
    reason: 'address-pool',
    message: 'no pair of link-local addresses is free between 169.254.64.0 and 169.254.127.255',
  });
}

export function encodePlan(plan: AddressPlan): string {
  return `${JSON.stringify({
    pool: formatPrefix(plan.pool),
    hostAddress: formatAddress(plan.hostAddress),
    gatewayAddress: formatAddress(plan.gatewayAddress),
    mtu: plan.mtu,
    forwardingIsOurs: plan.forwardingIsOurs,
    forwarding6IsOurs: plan.forwarding6IsOurs,
    advertisedDevices: plan.advertisedDevices,
    ingress: plan.ingress,
  })}\n`;
}

/** The plan of an earlier run; undefined when the text is not one, and is then decided anew. */
export function decodePlan(text: string): AddressPlan | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = value as Readonly<Record<string, unknown>>;
  const pool = parsePrefix(String(fields['pool']));
  const hostAddress = parseAddress(String(fields['hostAddress']));
  const gatewayAddress = parseAddress(String(fields['gatewayAddress']));
  const mtu = Number(fields['mtu']);
  if (pool === undefined || hostAddress === undefined || gatewayAddress === undefined) return undefined;
  if (!Number.isInteger(mtu) || mtu < 576) return undefined;
  return {
    pool,
    hostAddress,
    gatewayAddress,
    mtu,
    forwardingIsOurs: fields['forwardingIsOurs'] === true,
    forwarding6IsOurs: fields['forwarding6IsOurs'] === true,
    advertisedDevices: decodeDevices(fields['advertisedDevices']),
    ingress: decodeIngress(fields['ingress']),
  };
}

/** They become parts of paths. */
function decodeDevices(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return [];
  return value.filter((name) => typeof name === 'string' && /^[\w.@-]{1,15}$/.test(name) && !name.includes('..'));
}

function decodeIngress(value: unknown): IngressPlan | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { subnets, subnets6 = [], nodeAddress, nodeAddress6 } = value as Readonly<Record<string, unknown>>;
  if (!Array.isArray(subnets) || !subnets.every((one) => parsePrefix(String(one)) !== undefined)) return undefined;
  if (!Array.isArray(subnets6) || !subnets6.every((one) => isIpv6Prefix(String(one)))) return undefined;
  const known = typeof nodeAddress === 'string' && parseAddress(nodeAddress) !== undefined;
  const known6 = typeof nodeAddress6 === 'string' && isIPv6(nodeAddress6);
  return {
    subnets: subnets.map(String),
    subnets6: subnets6.map(String),
    nodeAddress: known ? nodeAddress : undefined,
    nodeAddress6: known6 ? nodeAddress6 : undefined,
  };
}

function isIpv6Prefix(text: string): boolean {
  const [address = '', length = ''] = text.split('/');
  return isIPv6(address) && /^\d{1,3}$/.test(length) && Number(length) <= 128;
}
