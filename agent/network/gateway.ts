/**
 * The gateway network of this node: a namespace of our own that works as a router between the tasks and the host, joined
 * to the host by one cable, whatever the number of tasks.
 *
 *   host ── sl-<tag> ═══ host0 ── gateway namespace ── g<n> ═══ gw ── task
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert, SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { hasErrno } from '../kernel/libc.ts';
import { NETLINK_NETFILTER, NetlinkSocket } from '../kernel/netlink.ts';
import { addAddress, listAddresses } from '../kernel/netlink-address.ts';
import { IP_PROTOCOL_TCP, isOpen, listFlows } from '../kernel/netlink-conntrack.ts';
import { addVeth, deleteLink, findLink, type Link, listLinks, setLinkUp } from '../kernel/netlink-link.ts';
import { replaceNeighbour } from '../kernel/netlink-neighbour.ts';
import { deleteRoute, listRoutes, type Route, replaceRoute } from '../kernel/netlink-route.ts';
import { addRule, deleteRule, listRules, type PolicyRule } from '../kernel/netlink-rule.ts';
import {
  createNetworkNamespace,
  isNetworkNamespace,
  NetworkNamespace,
  removeNetworkNamespace,
} from '../kernel/netns.ts';
import { Nftables } from '../kernel/nftables.ts';
import { changeElements, listElements } from '../kernel/nftables-elements.ts';
import { readPseudoFile } from '../kernel/pseudo-file.ts';
import {
  type AddressPlan,
  chooseLinkPair,
  choosePool,
  decodePlan,
  encodePlan,
  type IngressPlan,
} from './address-plan.ts';
import type { NetworkConfig } from './config.ts';
import { CONFINED_SET, GATEWAY_TABLE, GATEWAY_UPLINK, gatewayTableText } from './gateway-table.ts';
import type { InstanceNames } from './instance.ts';
import { formatAddress, formatPrefix, linkLayerAddressFor, parsePrefix, prefixesOverlap } from './ipv4.ts';
import { surveyHost } from './survey-host.ts';
import { ensureSysctl, type Sysctl, sysctlPath, writeSysctls } from './sysctls.ts';

const LOOPBACK_INDEX = 1;
const IP_PROTOCOL_ICMP = 1;
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
  // Strict reverse path filter on every device made later: a task cannot send from an address that is not its own.
  ['ipv4/conf/default/rp_filter', '1'],
  ['ipv6/conf/default/disable_ipv6', '1'],
];

/** For the host's end of the cable. */
const HOST_LINK_SYSCTLS: readonly Sysctl[] = [
  // With src_valid_mark this drops what arrives from tasks while our nftables table, which sets the mark, is missing.
  ['ipv4/conf/LINK/rp_filter', '1'],
  ['ipv4/conf/LINK/src_valid_mark', '1'],
  // For 127.0.0.1:<published port> of the host; the table drops every loopback address that arrives over the cable.
  ['ipv4/conf/LINK/route_localnet', '1'],
  ['ipv4/conf/LINK/accept_redirects', '0'],
  ['ipv6/conf/LINK/disable_ipv6', '1'],
];

const IP_FORWARD = 'ipv4/ip_forward';

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

function planPath(directory: string): string {
  return join(directory, 'gateway.json');
}

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #hostSocket: NetlinkSocket;
  #plan: AddressPlan | undefined;
  #namespace: NetworkNamespace | undefined;
  #socket: NetlinkSocket | undefined;
  #nftables: Nftables | undefined;
  #filter: NetlinkSocket | undefined;
  /** Addresses of tasks that reach nothing outside. */
  readonly #confined = new Set<string>();
  /** How the gateway's tables list when they are whole. */
  #tableListing: string | undefined;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#hostSocket = NetlinkSocket.open();
  }

  get plan(): AddressPlan {
    assert(this.#plan !== undefined, 'the gateway is used after ensure');
    return this.#plan;
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

  /** The plan of an earlier run of this instance, if the run directory still has it. */
  async savedPlan(): Promise<AddressPlan | undefined> {
    try {
      return decodePlan(await readFile(planPath(this.#options.directory), 'utf8'));
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  /** Builds what is missing and repairs what is wrong. Says in words what it did; nothing when all was well. */
  async ensure(): Promise<readonly string[]> {
    const repaired: string[] = [];
    this.#plan ??= await this.savedPlan();
    for (let attempt = 1; ; attempt++) {
      const fresh = this.#plan === undefined;
      this.#plan ??= await this.#makePlan();
      if (await this.#ensureNamespace()) repaired.push('gateway namespace');
      await this.#ensureCable(repaired);
      if (!fresh || attempt === PLAN_ATTEMPTS || !(await this.#lostPoolToAnother())) break;
      await this.#forgetPlan();
    }
    await this.#ensureForwarding(repaired);
    await this.#ensureGatewayTable(repaired);
    return repaired;
  }

  /** Devices of tasks in the gateway namespace, by name. */
  async taskLinks(): Promise<ReadonlyMap<string, Link>> {
    const links = await listLinks(this.socket);
    return new Map(links.filter((link) => /^g\d+$/.test(link.name)).map((link) => [link.name, link]));
  }

  /** Destinations of routes and addresses of permanent neighbours are checked by route alone: they are set together. */
  async taskRoutes(): Promise<ReadonlySet<string>> {
    return new Set((await listRoutes(this.socket)).map((route) => route.destination));
  }

  /** Another daemon turned forwarding on: from now on it is ours as well, to guard and to turn off in the end. */
  async shareForwarding(): Promise<void> {
    if (!this.plan.forwardingIsOurs) await this.#savePlan({ ...this.plan, forwardingIsOurs: true });
  }

  /** From now on the task with this address reaches nothing outside, or everything again. */
  async confine(address: string, confined: boolean): Promise<void> {
    if (this.#confined.has(address) === confined) return;
    if (confined) this.#confined.add(address);
    else this.#confined.delete(address);
    const change = { set: CONFINED_SET, action: confined ? 'add' : 'delete', key: address } as const;
    try {
      await changeElements(this.#filterSocket(), [[change]]);
    } catch (error) {
      this.#options.logger.warn('the filter of the gateway was not as expected: loading it', {
        error: SwarmError.from(error).message,
      });
      this.#tableListing = undefined;
      await this.#ensureGatewayTable([]);
    }
  }

  /** TCP connections to the task with this address that have begun and not ended. */
  async openConnections(address: string): Promise<number> {
    return (await listFlows(this.#filterSocket(), { ipProtocol: IP_PROTOCOL_TCP, replySource: address })).filter(isOpen)
      .length;
  }

  /** A nftables context and a netfilter socket in the gateway namespace, for the mesh. */
  get filter(): { readonly nftables: Nftables; readonly socket: NetlinkSocket } {
    assert(this.#nftables !== undefined, 'the gateway is used after ensure');
    return { nftables: this.#nftables, socket: this.#filterSocket() };
  }

  /** Whether the host itself has this IPv4 address. */
  async hasHostAddress(address: string): Promise<boolean> {
    return (await listAddresses(this.#hostSocket)).some((one) => one.address === address);
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
    await this.#savePlan({ ...this.plan, ingress });
    return true;
  }

  /** Devices of the host that lead outside, where forwarding between them is ours to guard against. */
  async guardedDevices(): Promise<readonly string[] | undefined> {
    if (!this.plan.forwardingIsOurs) return undefined;
    const links = await listLinks(this.#hostSocket);
    return links
      .filter((link) => link.kind === undefined && !link.loopback && /^[\w.@-]+$/.test(link.name))
      .map((link) => link.name)
      .toSorted();
  }

  async close(): Promise<void> {
    await this.#closeNamespace();
    await this.#hostSocket.close();
  }

  /** Removes the namespace, the cable, routes and rules, and undoes forwarding if `restoreForwarding`. Then closed. */
  async destroy(restoreForwarding: boolean): Promise<void> {
    const { names, directory } = this.#options;
    const plan = this.#plan ?? (await this.savedPlan());
    await this.#closeNamespace();
    removeNetworkNamespace(gatewayNamespacePath(directory));
    await this.#hostSocket.execute([deleteLink(names.hostLink)]);
    await this.#removeRules();
    if (plan?.forwardingIsOurs === true && restoreForwarding) await ensureSysctl([IP_FORWARD, '0']);
    await rm(planPath(directory), { force: true });
    await this.#hostSocket.close();
  }

  async #closeNamespace(): Promise<void> {
    await this.#nftables?.close();
    await this.#filter?.close();
    await this.#socket?.close();
    this.#namespace?.close();
    this.#nftables = undefined;
    this.#filter = undefined;
    this.#socket = undefined;
    this.#namespace = undefined;
    this.#tableListing = undefined;
  }

  async #makePlan(): Promise<AddressPlan> {
    const { names, config } = this.#options;
    const { occupied, mtu } = await surveyHost(this.#hostSocket, names.hostLink);
    const plan = {
      pool: choosePool(config.gatewayPools, occupied),
      ...chooseLinkPair(names, occupied),
      mtu: config.mtu ?? mtu,
      forwardingIsOurs: false,
      ingress: undefined,
    };
    await this.#savePlan(plan);
    return plan;
  }

  async #savePlan(plan: AddressPlan): Promise<void> {
    const path = planPath(this.#options.directory);
    await writeFile(`${path}.new`, encodePlan(plan), { mode: 0o600 });
    await rename(`${path}.new`, path);
    this.#plan = plan;
  }

  async #forgetPlan(): Promise<void> {
    await this.#hostSocket.execute([deleteRoute(formatPrefix(this.plan.pool), this.#options.names.routingTable)]);
    await this.#removeRules();
    await rm(planPath(this.#options.directory), { force: true });
    this.#plan = undefined;
  }

  /** Opens the namespace, making it if need be; says whether it is new (and everything in it gone). */
  async #ensureNamespace(): Promise<boolean> {
    const path = gatewayNamespacePath(this.#options.directory);
    const created = !isNetworkNamespace(path);
    if (this.#namespace !== undefined && !created) return false;
    await this.#closeNamespace();
    if (created) removeNetworkNamespace(path);
    this.#namespace = created ? createNetworkNamespace(path) : NetworkNamespace.open(path);
    if (created) this.#namespace.run(() => writeSysctls(GATEWAY_SYSCTLS));
    this.#socket = NetlinkSocket.open(this.#namespace);
    this.#nftables = Nftables.open(this.#namespace);
    this.#tableListing = undefined;
    return created;
  }

  async #ensureCable(repaired: string[]): Promise<void> {
    const { names } = this.#options;
    const { plan } = this;
    const here = await findLink(this.#hostSocket, names.hostLink);
    const there = await findLink(this.socket, GATEWAY_UPLINK);
    if (here === undefined || there === undefined) {
      await this.#hostSocket.execute([
        deleteLink(names.hostLink),
        addVeth(
          { name: names.hostLink, mtu: plan.mtu, linkLayerAddress: linkLayerAddressFor(plan.hostAddress) },
          {
            name: GATEWAY_UPLINK,
            mtu: plan.mtu,
            linkLayerAddress: linkLayerAddressFor(plan.gatewayAddress),
          },
          this.namespace.descriptor,
        ),
      ]);
      repaired.push('cable to the gateway namespace');
    }
    const link = await findLink(this.#hostSocket, names.hostLink);
    assert(link !== undefined, 'the cable is there after it was made');
    await this.#ensureHostSide(link, repaired);
    await this.#ensureGatewaySide(repaired);
  }

  async #ensureHostSide(link: Link, repaired: string[]): Promise<void> {
    const { names } = this.#options;
    const { plan } = this;
    const [own, other] = [formatAddress(plan.hostAddress), formatAddress(plan.gatewayAddress)];
    const addresses = await listAddresses(this.#hostSocket);
    const routes = await listRoutes(this.#hostSocket);
    const pool = formatPrefix(plan.pool);
    const due = [pool, ...(plan.ingress?.subnets ?? [])];
    const ours = routes.filter((route) => route.table === names.routingTable).map((route) => route.destination);
    const routed = due.every((destination) => ours.includes(destination));
    if (!link.up || !routed || !addresses.some((one) => one.linkIndex === link.index && one.address === own)) {
      await this.#hostSocket.execute([
        addAddress(link.index, `${own}/32`, other),
        setLinkUp(link.index),
        replaceNeighbour(link.index, other, linkLayerAddressFor(plan.gatewayAddress)),
        ...due.map((destination) =>
          replaceRoute({ destination, linkIndex: link.index, gateway: other, table: names.routingTable }),
        ),
      ]);
      repaired.push('address and route of the gateway network');
    }
    const obsolete = ours.filter((destination) => !due.includes(destination));
    await this.#hostSocket.execute(obsolete.map((destination) => deleteRoute(destination, names.routingTable)));
    const rules = await listRules(this.#hostSocket);
    const missing = this.#rules().filter((rule) => !rules.some((found) => sameRule(found, rule)));
    if (missing.length > 0) {
      await this.#hostSocket.execute(missing.map(addRule));
      repaired.push('policy rules of the gateway network');
    }
    const surplus = rules.filter(
      (found) => found.table === names.routingTable && !this.#rules().some((rule) => sameRule(found, rule)),
    );
    await this.#hostSocket.execute(surplus.map(deleteRule));
    for (const [template, value] of HOST_LINK_SYSCTLS) {
      const name = template.replace('LINK', names.hostLink);
      if (await ensureSysctl([name, value])) repaired.push(`setting net/${name}`);
    }
  }

  async #ensureGatewaySide(repaired: string[]): Promise<void> {
    const { plan } = this;
    const [own, other] = [formatAddress(plan.gatewayAddress), formatAddress(plan.hostAddress)];
    const uplink = await findLink(this.socket, GATEWAY_UPLINK);
    const routes = await listRoutes(this.socket);
    assert(uplink !== undefined, 'the cable has both ends');
    if (uplink.up && routes.some((route) => route.destination === 'default' && route.gateway === other)) return;
    await this.socket.execute([
      setLinkUp(LOOPBACK_INDEX),
      addAddress(uplink.index, `${own}/32`, other),
      setLinkUp(uplink.index),
      replaceNeighbour(uplink.index, other, linkLayerAddressFor(plan.hostAddress)),
      replaceRoute({ destination: 'default', linkIndex: uplink.index, gateway: other }),
    ]);
    repaired.push('route out of the gateway namespace');
  }

  /**
   * Marked packets look up our table. So do the host's own ICMP messages to tasks, which the kernel routes before any
   * rule of ours can mark them: without them a refused connection would hang instead.
   */
  #rules(): readonly PolicyRule[] {
    const { names, config } = this.#options;
    const common = { priority: config.rulePriority, table: names.routingTable };
    return [
      { ...common, mark: { value: config.packetMark, mask: config.packetMark } },
      // Answers to names: a datagram is routed before it is marked, also on a host without a default route.
      { ...common, source: `${formatAddress(this.plan.hostAddress)}/32` },
      ...[formatPrefix(this.plan.pool), ...(this.plan.ingress?.subnets ?? [])].map((destination) => ({
        ...common,
        destination,
        ipProtocol: IP_PROTOCOL_ICMP,
      })),
    ];
  }

  async #removeRules(): Promise<void> {
    const { names } = this.#options;
    const own = (await listRules(this.#hostSocket)).filter((rule) => rule.table === names.routingTable);
    await this.#hostSocket.execute(own.map(deleteRule));
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

  async #ensureForwarding(repaired: string[]): Promise<void> {
    if (!(await ensureSysctl([IP_FORWARD, '1']))) return;
    repaired.push(`setting net/${IP_FORWARD}`);
    await this.#savePlan({ ...this.plan, forwardingIsOurs: true });
  }

  async #ensureGatewayTable(repaired: string[]): Promise<void> {
    const nftables = this.#nftables;
    assert(nftables !== undefined, 'the gateway has its nftables context');
    const list = async (): Promise<string> => {
      const listings = ['ip', 'ip6'].map((family) =>
        nftables.list('list the filter of the gateway namespace', `list table ${family} ${GATEWAY_TABLE}`, {
          elements: false,
        }),
      );
      return (await Promise.all(listings)).join('');
    };
    // A table that is gone cannot be listed.
    if (this.#tableListing !== undefined && (await list().catch(() => '')) === this.#tableListing) {
      const found = await listElements(this.#filterSocket(), CONFINED_SET);
      if (found.size === this.#confined.size && [...this.#confined].every((address) => found.has(address))) return;
    }
    const hostAddress = formatAddress(this.plan.hostAddress);
    const text = gatewayTableText({ hostAddress, confined: [...this.#confined] });
    await nftables.run(`load the table ${GATEWAY_TABLE} of the gateway namespace`, text);
    if (this.#tableListing !== undefined) repaired.push('filter of the gateway namespace');
    this.#tableListing = await list();
  }

  #filterSocket(): NetlinkSocket {
    this.#filter ??= NetlinkSocket.open(this.namespace, NETLINK_NETFILTER);
    return this.#filter;
  }
}

/** Routing tables of Starling's daemons have numbers of one range. */
function isOurKind(route: Route): boolean {
  return route.table >>> 24 === 0x53;
}

function sameRule(left: PolicyRule, right: PolicyRule): boolean {
  return (
    left.priority === right.priority &&
    left.table === right.table &&
    left.mark?.value === right.mark?.value &&
    left.mark?.mask === right.mark?.mask &&
    left.destination === right.destination &&
    left.source === right.source &&
    left.ipProtocol === right.ipProtocol
  );
}
