/** Which subnets a network gets: what it has stays and may grow, what was added comes on top, what is open is chosen. */
import {
  bitsOf,
  formatIp,
  formatPrefix,
  type IpFamily,
  type IpPrefix,
  parsePrefix,
  prefixCovers,
  prefixesOverlap,
} from '#common/ip.ts';
import type { Cluster, Network } from '#gen/swarm/v1/objects.ts';
import { IpamSubnet } from '#gen/swarm/v1/specs.ts';
import { allowsOverlap, familiesOf, isIngress } from './attachments.ts';
import type { Block, BlockSet } from './block-set.ts';
import { hashText } from './hash.ts';
import { badSubnet, NO_POOL_LEFT, subnetTaken } from './problems.ts';
import { rangeOf, withGateway } from './subnets.ts';

/** Pools of a cluster that was told of none. */
export const DEFAULT_POOLS: readonly string[] = ['10.0.0.0/8'];
export const DEFAULT_SUBNET_SIZE = 24;
/** One link of IPv6, everywhere. */
const SUBNET_SIZE_V6 = 64;

export interface SubnetPlan {
  readonly subnets: readonly IpamSubnet[];
  /** Why some are missing; empty when none is. */
  readonly problem: string;
}

export interface SubnetDesk {
  readonly cluster: Cluster | undefined;
  readonly blocks: BlockSet;
  network(id: string): Network | undefined;
}

/** `have` is what the network has, or has been promised. */
export function planSubnets(network: Network, have: readonly IpamSubnet[], desk: SubnetDesk): SubnetPlan {
  const planner = new SubnetPlanner(network, have, desk);
  for (const subnet of have) planner.keep(subnet);
  planner.addDeclared();
  planner.addFromPools();
  return { subnets: planner.subnets, problem: planner.problem };
}

class SubnetPlanner {
  readonly subnets: IpamSubnet[] = [];
  problem = '';
  readonly #network: Network;
  readonly #have: readonly IpamSubnet[];
  readonly #desk: SubnetDesk;
  /** Declared subnets with an address of their own, which no subnet of the network stands for yet. */
  readonly #declared: IpamSubnet[];
  /** Subnets that came from pools, by family. */
  readonly #pooled: Record<IpFamily, number> = { 4: 0, 6: 0 };

  constructor(network: Network, have: readonly IpamSubnet[], desk: SubnetDesk) {
    this.#network = network;
    this.#have = have;
    this.#desk = desk;
    this.#declared = (network.spec?.ipam?.subnets ?? []).filter(({ subnet }) => subnet !== '');
  }

  /** What was given out stays: tasks have addresses of it. Where the spec has a larger one around it, it grows. */
  keep(subnet: IpamSubnet): void {
    const prefix = parsePrefix(subnet.subnet)?.prefix;
    const place = this.#declared.findIndex((one) => covers(parsePrefix(one.subnet)?.prefix, prefix));
    const declared = this.#declared[place];
    if (declared === undefined) {
      if (prefix !== undefined) this.#pooled[prefix.family]++;
      this.subnets.push(subnet);
      return;
    }
    this.#declared.splice(place, 1);
    const taken = declared.subnet === subnet.subnet ? undefined : this.#taken(declared.subnet, subnet.subnet);
    if (taken !== undefined) this.#fail(taken);
    this.subnets.push(taken === undefined ? { ...declared, gateway: subnet.gateway } : subnet);
  }

  addDeclared(): void {
    for (const declared of this.#declared) {
      const problem = rangeOf(declared) === undefined ? badSubnet(declared.subnet) : this.#taken(declared.subnet);
      if (problem === undefined) this.subnets.push(withGateway(declared, formatIp));
      else this.#fail(problem);
    }
  }

  /** One of each family that the network should have and has none of, and one for each entry that names none. */
  addFromPools(): void {
    const { spec } = this.#network;
    const open = (spec?.ipam?.subnets ?? []).filter(({ subnet }) => subnet === '').length;
    for (const family of familiesOf(this.#network)) {
      const explicit = (spec?.ipam?.subnets ?? []).some(({ subnet }) => parsePrefix(subnet)?.prefix.family === family);
      const wanted = Math.max(family === 4 ? open : 0, explicit ? 0 : 1);
      for (let count = this.#pooled[family]; count < wanted; count++) {
        const prefix = this.#fromPool(family);
        if (prefix === undefined) {
          this.#fail(NO_POOL_LEFT);
          break;
        }
        this.subnets.push(withGateway(IpamSubnet.create({ subnet: formatPrefix(prefix) }), formatIp));
      }
    }
  }

  #fromPool(family: IpFamily): IpPrefix | undefined {
    const { cluster, blocks } = this.#desk;
    // Those that were chosen a moment ago are in no book yet.
    const own = this.subnets.map(({ subnet }) => parsePrefix(subnet)?.prefix);
    for (const pool of poolsOf(cluster, family)) {
      const length = isIngress(this.#network) ? ingressLength(pool, cluster) : lengthIn(pool, cluster);
      for (let from = pool.first; ; ) {
        const found = blocks.firstFree(pool, length, from);
        const mine = own.find(
          (prefix) => found !== undefined && prefix !== undefined && prefixesOverlap(prefix, found),
        );
        if (found === undefined) break;
        if (mine === undefined) return found;
        from = mine.last + 1n;
      }
    }
    return undefined;
  }

  /**
   * Who has addresses of the subnet already; undefined when nobody has, or the two may share them. `instead` is the subnet
   * that it takes the place of.
   */
  #taken(subnet: string, instead = ''): string | undefined {
    const prefix = parsePrefix(subnet)?.prefix;
    const { blocks } = this.#desk;
    if (prefix === undefined) return undefined;
    for (const own of [...this.#have, ...this.subnets]) {
      const other = own.subnet === instead ? undefined : parsePrefix(own.subnet)?.prefix;
      if (other !== undefined && prefixesOverlap(prefix, other))
        return subnetTaken(subnet, own.subnet, this.#network.spec?.name ?? this.#network.id);
    }
    if (allowsOverlap(this.#network)) return undefined;
    const block = blocks.overlapping(prefix, this.#network.id, (owner) => !this.#sharesWith(owner));
    return block === undefined ? undefined : subnetTaken(subnet, formatPrefix(block.prefix), this.#nameOf(block));
  }

  #sharesWith(networkId: string): boolean {
    const other = this.#desk.network(networkId);
    return other !== undefined && allowsOverlap(other);
  }

  #nameOf({ owner }: Block): string {
    return this.#desk.network(owner)?.spec?.name ?? owner;
  }

  #fail(problem: string): void {
    if (this.problem === '') this.problem = problem;
  }
}

function covers(outer: IpPrefix | undefined, inner: IpPrefix | undefined): boolean {
  return outer !== undefined && inner !== undefined && prefixCovers(outer, inner);
}

/** The pools of the family. Without one of IPv6 the cluster has a block of unique local addresses, made of its id. */
function poolsOf(cluster: Cluster | undefined, family: IpFamily): readonly IpPrefix[] {
  const texts = cluster?.defaultAddressPools ?? [];
  const pools = texts.map((text) => parsePrefix(text)?.prefix).filter((pool) => pool?.family === family);
  const found = pools.filter((pool) => pool !== undefined);
  if (found.length > 0) return found;
  const fallback = family === 4 ? DEFAULT_POOLS : [uniqueLocalPool(cluster?.id ?? '')];
  return fallback.map((text) => parsePrefix(text)?.prefix).filter((pool) => pool !== undefined);
}

/** fdxx:xxxx:xxxx::/48 with 40 bits that are the cluster's own (RFC 4193). */
export function uniqueLocalPool(clusterId: string): string {
  const bits = (BigInt(hashText(clusterId)) << 8n) | BigInt(hashText(`${clusterId}/`) & 0xff);
  return formatPrefix({ family: 6, length: 48, first: (0xfdn << 120n) | (bits << 80n), last: 0n });
}

function lengthIn(pool: IpPrefix, cluster: Cluster | undefined): number {
  const size = pool.family === 4 ? cluster?.subnetSize || DEFAULT_SUBNET_SIZE : SUBNET_SIZE_V6;
  return Math.min(Math.max(size, pool.length), bitsOf(pool.family));
}

/** Every task with a published port has an address there: 256 times the room of another network, but half of the pool. */
function ingressLength(pool: IpPrefix, cluster: Cluster | undefined): number {
  const length = lengthIn(pool, cluster);
  return pool.family === 6 ? length : Math.min(Math.max(pool.length + 1, length - 8), 30);
}
