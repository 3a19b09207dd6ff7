/**
 * The gateway network of this node: a namespace of our own that works as a router between the tasks and the host, joined
 * to the host by one cable, whatever the number of tasks.
 *
 *   host ── sl-<tag> ═══ host0 ── gateway namespace ── g<n> ═══ gw ── task
 */
import { join } from 'node:path';
import { assert } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { AF_INET, AF_INET6, hostPrefix } from '../kernel/ip-address.ts';
import { NetlinkSocket } from '../kernel/netlink.ts';
import { type LinkAddress, listAddresses } from '../kernel/netlink-address.ts';
import { deleteLink, type Link, listLinks } from '../kernel/netlink-link.ts';
import { listNeighbours } from '../kernel/netlink-neighbour.ts';
import { listRoutes, type Route } from '../kernel/netlink-route.ts';
import {
  createNetworkNamespace,
  isNetworkNamespace,
  NetworkNamespace,
  removeNetworkNamespace,
} from '../kernel/netns.ts';
import { readPseudoFile } from '../kernel/pseudo-file.ts';
import type { AddressPlan, IngressPlan } from './address-plan.ts';
import type { NetworkConfig } from './config.ts';
import { ensureCable, removeRoutes } from './gateway-cable.ts';
import { GatewayFilter } from './gateway-filter.ts';
import { GatewayPlan } from './gateway-plan.ts';
import { GATEWAY_UPLINK } from './gateway-table.ts';
import { ensureForwarding, restoreForwarding } from './host-forwarding.ts';
import type { Family } from './host-ports.ts';
import type { InstanceNames } from './instance.ts';
import { formatAddress, formatPrefix, parsePrefix, prefixesOverlap } from './ipv4.ts';
import { hostHasIpv6, type Ipv6Plan, ipv6Plan } from './ipv6.ts';
import { type Sysctl, sysctlPath, writeSysctls } from './sysctls.ts';

const SETTING_BYTES_MAX = 256;
/** Two daemons that start in the same instant may choose the same pool; then one of them chooses again. */
const PLAN_ATTEMPTS = 3;

/** For the gateway namespace, once, before it has a device besides lo. */
const GATEWAY_SYSCTLS: readonly Sysctl[] = [
  ['ipv4/ip_forward', '1'],
  ['ipv4/conf/all/send_redirects', '0'],
  ['ipv4/conf/default/send_redirects', '0'],
  ['ipv4/conf/all/accept_redirects', '0'],
  ['ipv4/conf/default/accept_redirects', '0'],
  // A namespace begins with what the host has; for this one `all` alone decides.
  ['ipv4/conf/all/accept_source_route', '0'],
  // Strict reverse path filter on every device made later: a task cannot send from an address that is not its own.
  ['ipv4/conf/default/rp_filter', '1'],
];

/** On a node with IPv6, also for a namespace that was made without. Nobody is asked, and nobody believed. */
const GATEWAY_IPV6: readonly Sysctl[] = [
  ['ipv6/conf/default/addr_gen_mode', '1'],
  ['ipv6/conf/default/accept_ra', '0'],
  ['ipv6/conf/default/accept_redirects', '0'],
  ['ipv6/conf/default/dad_transmits', '0'],
  ['ipv6/conf/default/disable_ipv6', '0'],
  ['ipv6/conf/all/forwarding', '1'],
];
const GATEWAY_NO_IPV6: readonly Sysctl[] = [['ipv6/conf/default/disable_ipv6', '1']];
const UPLINK_IPV6: readonly Sysctl[] = [
  [`ipv6/conf/${GATEWAY_UPLINK}/addr_gen_mode`, '1'],
  [`ipv6/conf/${GATEWAY_UPLINK}/dad_transmits`, '0'],
  [`ipv6/conf/${GATEWAY_UPLINK}/disable_ipv6`, '0'],
];

export interface GatewayOptions {
  readonly names: InstanceNames;
  /** Holds the pinned namespace (`ns/gateway`) and the plan (`gateway.json`). Exists. */
  readonly directory: string;
  readonly config: NetworkConfig;
  readonly logger: Logger;
}

export function gatewayNamespacePath(directory: string): string {
  return join(directory, 'ns', 'gateway');
}

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #hostSocket: NetlinkSocket;
  readonly #plan: GatewayPlan;
  #ipv6: Ipv6Plan | undefined;
  #namespace: NetworkNamespace | undefined;
  #socket: NetlinkSocket | undefined;
  #filter: GatewayFilter | undefined;
  /** Addresses of tasks that reach nothing outside. */
  readonly #confined = new Set<string>();

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#hostSocket = NetlinkSocket.open();
    this.#plan = new GatewayPlan(options);
  }

  get names(): InstanceNames {
    return this.#options.names;
  }

  get plan(): AddressPlan {
    return this.#plan.current;
  }

  /** Undefined on a host without IPv6, as the last `ensure` found it. */
  get ipv6(): Ipv6Plan | undefined {
    return this.#ipv6;
  }

  get namespace(): NetworkNamespace {
    assert(this.#namespace !== undefined, 'the gateway is used after ensure');
    return this.#namespace;
  }

  /** A routing socket in the gateway namespace. */
  get socket(): NetlinkSocket {
    assert(this.#socket !== undefined, 'the gateway is used after ensure');
    return this.#socket;
  }

  /** The filter and the connections of the gateway namespace. */
  get filter(): GatewayFilter {
    assert(this.#filter !== undefined, 'the gateway is used after ensure');
    return this.#filter;
  }

  /** The plan of an earlier run of this instance, if the run directory still has it. */
  savedPlan(): Promise<AddressPlan | undefined> {
    return this.#plan.saved();
  }

  /** Builds what is missing and repairs what is wrong. Says in words what it did; nothing when all was well. */
  async ensure(): Promise<readonly string[]> {
    const repaired: string[] = [];
    for (let attempt = 1; ; attempt++) {
      const fresh = await this.#plan.decide(this.#hostSocket);
      this.#ipv6 = (await hostHasIpv6(this.plan.mtu)) ? ipv6Plan(this.names) : undefined;
      if (await this.#ensureNamespace()) repaired.push('gateway namespace');
      await this.#ensureCable(repaired);
      if (!fresh || attempt === PLAN_ATTEMPTS || !(await this.#lostPoolToAnother())) break;
      await removeRoutes(this.#hostSocket, this.names);
      await this.#plan.forget();
    }
    const news = await ensureForwarding(this.plan, this.names.hostLink, this.#ipv6 !== undefined, repaired);
    if (news !== undefined) await this.#plan.save({ ...this.plan, ...news });
    await this.filter.ensure(formatAddress(this.plan.hostAddress), repaired);
    return repaired;
  }

  /** Devices of tasks in the gateway namespace, by name. */
  async taskLinks(): Promise<ReadonlyMap<string, Link>> {
    const links = await listLinks(this.socket);
    return new Map(links.filter((link) => /^g\d+$/.test(link.name)).map((link) => [link.name, link]));
  }

  /** Addresses of tasks that have both a route and a neighbour that is written down, on the same device. */
  async taskAddresses(): Promise<ReadonlySet<string>> {
    const known = new Set<string>();
    for (const family of this.#ipv6 === undefined ? [AF_INET] : [AF_INET, AF_INET6]) {
      const routed = new Set(
        (await listRoutes(this.socket, family)).map((route) => `${route.destination} ${route.linkIndex}`),
      );
      for (const { address, linkIndex, permanent } of await listNeighbours(this.socket, family))
        if (permanent && routed.has(`${hostPrefix(address)} ${linkIndex}`)) known.add(address);
    }
    return known;
  }

  /** Another daemon turned forwarding on: from now on it is ours as well, to guard and to turn off in the end. */
  async shareForwarding({
    families,
    listeners,
  }: {
    readonly families: readonly Family[];
    readonly listeners: readonly string[];
  }): Promise<void> {
    const { plan } = this;
    const shared = {
      forwardingIsOurs: plan.forwardingIsOurs || families.includes(4),
      forwarding6IsOurs: plan.forwarding6IsOurs || families.includes(6),
      advertisedDevices: [...new Set([...plan.advertisedDevices, ...listeners])],
    };
    if (JSON.stringify({ ...plan, ...shared }) !== JSON.stringify(plan)) await this.#plan.save({ ...plan, ...shared });
  }

  /** From now on the task with these addresses reaches nothing outside, or everything again. */
  confine(addresses: readonly string[], confined: boolean): Promise<void> {
    return this.filter.confine(addresses, confined, formatAddress(this.plan.hostAddress));
  }

  /** Addresses of the host that others could know it by, of both families. */
  async hostAddresses(): Promise<readonly LinkAddress[]> {
    const own = [formatAddress(this.plan.hostAddress), this.#ipv6?.hostAddress];
    const found = [...(await listAddresses(this.#hostSocket, AF_INET))];
    if (this.#ipv6 !== undefined) found.push(...(await listAddresses(this.#hostSocket, AF_INET6)));
    return found.filter((one) => !own.includes(one.address));
  }

  /** Sets what differs in the gateway namespace, and says the names of those. */
  ensureSettings(settings: readonly Sysctl[]): readonly string[] {
    return this.namespace.run(() => {
      const differing = settings.filter(([name, value]) => {
        const current = readPseudoFile(sysctlPath(name), SETTING_BYTES_MAX);
        return current !== undefined && current.trim() !== value;
      });
      writeSysctls(differing);
      return differing.map(([name]) => name);
    });
  }

  /** Takes note of what the host has to do with the ingress network; `ensure` does it. Says whether that is news. */
  async setIngress(ingress: IngressPlan | undefined): Promise<boolean> {
    if (JSON.stringify(ingress) === JSON.stringify(this.plan.ingress)) return false;
    await this.#plan.save({ ...this.plan, ingress });
    return true;
  }

  /** Devices of the host that lead outside, where forwarding between them is ours to guard against. */
  async guardedDevices(): Promise<Readonly<Record<Family, readonly string[] | undefined>>> {
    const { forwardingIsOurs, forwarding6IsOurs } = this.plan;
    const links = await listLinks(this.#hostSocket);
    const devices = links
      .filter((link) => link.kind === undefined && !link.loopback && /^[\w.@-]+$/.test(link.name))
      .map((link) => link.name)
      .toSorted();
    return { 4: forwardingIsOurs ? devices : undefined, 6: forwarding6IsOurs ? devices : undefined };
  }

  async close(): Promise<void> {
    await this.#closeNamespace();
    await this.#hostSocket.close();
  }

  /** Removes the namespace, the cable, routes and rules, and undoes forwarding if `undoForwarding`. Then closed. */
  async destroy(undoForwarding: boolean): Promise<void> {
    const { names, directory } = this.#options;
    const plan = await this.savedPlan();
    await this.#closeNamespace();
    removeNetworkNamespace(gatewayNamespacePath(directory));
    await this.#hostSocket.execute([deleteLink(names.hostLink)]);
    await removeRoutes(this.#hostSocket, names);
    if (plan !== undefined && undoForwarding) await restoreForwarding(plan);
    await this.#plan.forget();
    await this.#hostSocket.close();
  }

  async #closeNamespace(): Promise<void> {
    await this.#filter?.close();
    await this.#socket?.close();
    this.#namespace?.close();
    this.#filter = undefined;
    this.#socket = undefined;
    this.#namespace = undefined;
  }

  /** Opens the namespace, making it if need be; says whether it is new (and everything in it gone). */
  async #ensureNamespace(): Promise<boolean> {
    const path = gatewayNamespacePath(this.#options.directory);
    const created = !isNetworkNamespace(path);
    if (this.#namespace !== undefined && !created) return false;
    await this.#closeNamespace();
    if (created) removeNetworkNamespace(path);
    const namespace = created ? createNetworkNamespace(path) : NetworkNamespace.open(path);
    this.#namespace = namespace;
    if (created) namespace.run(() => writeSysctls(GATEWAY_SYSCTLS));
    this.#socket = NetlinkSocket.open(namespace);
    this.#filter = new GatewayFilter(namespace, this.#confined, this.#options.logger);
    return created;
  }

  async #ensureCable(repaired: string[]): Promise<void> {
    const { names, config } = this.#options;
    const common = { names, plan: this.plan, hostSocket: this.#hostSocket, gatewaySocket: this.socket };
    const { packetMark, rulePriority } = config;
    const settings = this.#ipv6 === undefined ? GATEWAY_NO_IPV6 : [...GATEWAY_IPV6, ...UPLINK_IPV6];
    for (const name of this.ensureSettings(settings)) repaired.push(`setting net/${name} of the gateway namespace`);
    const namespace = this.namespace.descriptor;
    await ensureCable({ ...common, ipv6: this.#ipv6, packetMark, rulePriority, namespace }, repaired);
  }

  /** Whether another daemon of this host took an overlapping pool in the same instant, and keeps it by our rule. */
  async #lostPoolToAnother(): Promise<boolean> {
    const { names, logger } = this.#options;
    const rival = (await listRoutes(this.#hostSocket)).find((route: Route) => {
      const prefix = parsePrefix(route.destination);
      return (
        route.table < names.routingTable &&
        prefix !== undefined &&
        isOurKind(route) &&
        prefixesOverlap(prefix, this.plan.pool)
      );
    });
    if (rival === undefined) return false;
    logger.info('another daemon chose the same gateway pool in the same moment: choosing again', {
      pool: formatPrefix(this.plan.pool),
    });
    return true;
  }
}

/** Routing tables of Starling's daemons have numbers of one range. */
function isOurKind(route: Route): boolean {
  return route.table >>> 24 === 0x53;
}
