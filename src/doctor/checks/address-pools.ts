/**
 * Subnets of networks are taken from the default address pools. Where the host has a route into a pool, tasks would
 * reach a network of ours instead of the machines behind that route.
 */
import { type Check, fail, ok, warn } from '../check.ts';
import { type Cidr, overlaps, parseCidr } from '../cidr.ts';
import type { Host } from '../host.ts';

interface HostRoute {
  readonly text: string;
  readonly device: string;
  readonly block: Cidr;
}

/** Private blocks to offer in place of a pool that collides, largest first. */
const CANDIDATES: readonly string[] = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'];
/** Halves of candidates that collide themselves are tried down to this size: 256 subnets of the default /24. */
const SMALLEST_OFFER = 16;

export const addressPools: Check = {
  name: 'address-pools',
  purposes: ['init', 'doctor'],
  run: async ({ host, addressPools: pools, ownLinkPrefix, purpose }) => {
    if (pools === undefined) return undefined;
    const blocks = pools.map((text) => ({ text, block: parseCidr(text) }));
    const wrong = blocks.filter(({ block }) => block === undefined);
    if (wrong.length > 0)
      return fail(
        `${wrong.map(({ text }) => JSON.stringify(text)).join(', ')} is not a block of addresses`,
        'write it as --default-addr-pool 10.32.0.0/12',
      );
    const routes = await hostRoutes(host, ownLinkPrefix);
    const collisions = blocks.flatMap(({ text, block }) =>
      routes
        .filter((route) => block !== undefined && overlaps(block, route.block))
        .map((route) => `${text} overlaps the route ${route.text} (${route.device})`),
    );
    if (collisions.length === 0) return ok(`${pools.join(', ')} is free on this host`);
    const offer = freeBlock(routes);
    // The pools of a swarm are chosen once, at init: afterwards this host is the one that can change.
    if (purpose === 'doctor')
      return warn(
        collisions.join('; '),
        'tasks cannot reach those machines from a network with such a subnet: choose --subnet',
      );
    return fail(
      collisions.join('; '),
      offer === undefined
        ? 'choose a pool that is free on all hosts: --default-addr-pool CIDR'
        : `choose a pool that is free on all hosts, such as --default-addr-pool ${offer}`,
    );
  },
};

async function hostRoutes(host: Host, ownLinkPrefix: string): Promise<readonly HostRoute[]> {
  const found: HostRoute[] = [];
  for (const family of ['-4', '-6']) {
    const result = await host.run('ip', '-j', family, 'route', 'show', 'table', 'all');
    for (const { dst, dev, type } of parseRoutes(result?.stdout ?? '')) {
      const block = parseCidr(dst);
      if (block === undefined || (block.length === 0 && block.base === 0n)) continue; // "default"
      if (dev.startsWith(ownLinkPrefix) || dev === 'lo') continue;
      if (type === 'broadcast' || type === 'multicast' || type === 'anycast') continue;
      found.push({ text: dst, device: dev, block });
    }
  }
  // An address is within the route of its link; saying both would be saying one thing twice.
  return found.filter(
    (route, index) =>
      !found.some((other, at) => at !== index && other.device === route.device && contains(other, route, at < index)),
  );
}

/** `earlier` breaks the tie between equal ones. */
function contains(outer: HostRoute, inner: HostRoute, earlier: boolean): boolean {
  if (!overlaps(outer.block, inner.block)) return false;
  return outer.block.length < inner.block.length || (outer.block.length === inner.block.length && earlier);
}

interface RouteEntry {
  readonly dst: string;
  readonly dev: string;
  readonly type: string;
}

function parseRoutes(json: string): readonly RouteEntry[] {
  let entries: unknown;
  try {
    entries = JSON.parse(json);
  } catch {
    return [];
  }
  if (!Array.isArray(entries)) return [];
  return (entries as readonly Readonly<Record<string, unknown>>[]).map((entry) => ({
    dst: text(entry['dst']),
    dev: text(entry['dev']),
    type: text(entry['type']),
  }));
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** The largest private block without a route into it. */
export function freeBlock(routes: readonly Pick<HostRoute, 'block'>[]): string | undefined {
  let level = CANDIDATES.flatMap((candidate) => parseCidr(candidate) ?? []);
  while (level.length > 0) {
    const free = level.find((candidate) => !routes.some((route) => overlaps(candidate, route.block)));
    if (free !== undefined) return formatIpv4(free);
    level = level.filter((block) => block.length < SMALLEST_OFFER).flatMap(halves);
  }
  return undefined;
}

function halves(block: Cidr): readonly Cidr[] {
  const length = block.length + 1;
  return [block, { ...block, base: block.base + (1n << BigInt(32 - length)) }].map((half) => ({ ...half, length }));
}

function formatIpv4({ base, length }: Cidr): string {
  const octets = [24n, 16n, 8n, 0n].map((shift) => (base >> shift) & 255n);
  return `${octets.join('.')}/${length}`;
}
