/**
 * The mesh in the gateway namespace: the device to the gateways of the other nodes, the ways to their tasks, and the
 * tables that remember where a connection entered.
 */
import type { Clock } from '#common/clock.ts';
import { assert, SwarmError } from '#common/errors.ts';
import { AF_INET, AF_INET6, hostPrefix } from '../../kernel/ip-address.ts';
import type { NetlinkRequest, NetlinkSocket } from '../../kernel/netlink.ts';
import { deleteLink, findLink, setLinkUp } from '../../kernel/netlink-link.ts';
import { deleteNeighbour, listNeighbours, type Neighbour, replaceNeighbour } from '../../kernel/netlink-neighbour.ts';
import { deleteRoute, listRoutes, MAIN_TABLE, replaceRoute } from '../../kernel/netlink-route.ts';
import { addRule, listRules, type PolicyRule, sameRule } from '../../kernel/netlink-rule.ts';
import {
  addVxlan,
  deleteForwarding,
  listForwarding,
  replaceForwarding,
  vxlanSettings,
} from '../../kernel/netlink-vxlan.ts';
import type { Gateway } from '../gateway.ts';
import { GATEWAY_UPLINK } from '../gateway-table.ts';
import { type Family, familyOfAddress } from '../host-ports.ts';
import { formatAddress } from '../ipv4.ts';
import { isRefusal } from '../overlay/kernel/network-kernel.ts';
import { differingSysctls, type Sysctl } from '../sysctls.ts';
import type { MeshBase, MeshModel, MeshPeer, MeshRoute } from './mesh-model.ts';
import {
  MARK_ELSEWHERE,
  MARK_HERE,
  MESH_DEVICE,
  MESH_TABLE,
  type MeshTableContents,
  meshTableText,
  removeMeshTableText,
} from './mesh-table.ts';

/** Routes of answers to connections that entered here, and elsewhere. */
const TABLE_HERE = 1;
const TABLE_ELSEWHERE = 2;
const WHOLE_MARK = 0xffffffff;
/** Stands for every node until the egress chain puts in the right one; numbers of nodes end below. */
const ANY_NODE = { linkLayerAddress: '02:4e:00:00:ff:fe', 4: '169.254.255.254', 6: 'fe80::2:fffe' } as const;
const KERNEL_FAMILY = { 4: AF_INET, 6: AF_INET6 } as const;
const EVERYTHING = { 4: 'default', 6: '::/0' } as const;

function policyRules(family: number): readonly PolicyRule[] {
  return [
    { family, priority: 100, table: TABLE_HERE, mark: { value: MARK_HERE, mask: WHOLE_MARK } },
    { family, priority: 101, table: TABLE_ELSEWHERE, mark: { value: MARK_ELSEWHERE, mask: MARK_ELSEWHERE } },
  ];
}

const SETTINGS: readonly Sysctl[] = [
  // The stricter of `all` and the device counts: strict on the devices of tasks, off on the tunnel, where clients from
  // anywhere arrive.
  ['ipv4/conf/all/rp_filter', '0'],
  [`ipv4/conf/${MESH_DEVICE.name}/rp_filter`, '0'],
];
const SETTINGS_IPV6: readonly Sysctl[] = [
  [`ipv6/conf/${MESH_DEVICE.name}/addr_gen_mode`, '1'],
  [`ipv6/conf/${MESH_DEVICE.name}/dad_transmits`, '0'],
  [`ipv6/conf/${MESH_DEVICE.name}/disable_ipv6`, '0'],
];

export interface MeshGatewayOptions {
  readonly gateway: Gateway;
  /** Of the host's namespace: the socket of the tunnel stays there. */
  readonly hostSocket: NetlinkSocket;
  /** How long the number of the network may be in use by what the kernel still tears down. */
  readonly vniWaitMs: number;
  readonly vniRetryMs: number;
  readonly clock: Clock;
}

type Tunnel = NonNullable<MeshBase['tunnel']>;

export class MeshGateway {
  readonly #options: MeshGatewayOptions;
  /** Addresses of tasks here: their routes are not ours. */
  readonly local = new Set<string>();
  /** The number was in use when waiting for it ended: somebody else has it, and waiting again would not help. */
  #isNumberTaken = false;
  /** The text of the tables as loaded, and how they list. */
  #tables: { readonly text: string; readonly listing: string } | undefined;
  /** Differences are told and not put right. Invariant: for the time of `survey` only. */
  #looksOnly = false;

  constructor(options: MeshGatewayOptions) {
    this.#options = options;
  }

  /** Changes of routes alone. */
  async setRoutes(routes: ReadonlyMap<string, MeshRoute | undefined>): Promise<void> {
    const requests: NetlinkRequest[] = [];
    for (const [address, route] of routes) {
      if (this.local.has(address)) continue;
      requests.push(route === undefined ? deleteRoute(hostPrefix(address)) : routeRequest(address, route));
    }
    await this.#options.gateway.socket.execute(requests);
  }

  /** Compares everything with the model and puts right what differs. Says what that was, in words. */
  async ensure(model: MeshModel): Promise<readonly string[]> {
    const { base } = model;
    if (base?.tunnel === undefined) return this.#remove();
    const repaired: string[] = [];
    await this.#ensureDevice(base, base.tunnel, repaired);
    const settings = model.hasIpv6 ? [...SETTINGS, ...SETTINGS_IPV6] : SETTINGS;
    for (const name of this.#differing(settings)) repaired.push(`setting net/${name}`);
    const families = model.hasIpv6 ? ([4, 6] as const) : ([4] as const);
    await this.#ensurePeers(model.peers(), families, repaired);
    for (const family of families) {
      await this.#ensurePolicy(family, repaired);
      await this.#ensureRoutes(model.routes, family, repaired);
    }
    const { index } = base.tunnel;
    await this.#ensureTables({ index, mtu: base.mtu, peers: model.peers(), hasIpv6: model.hasIpv6 }, repaired);
    return repaired;
  }

  /** The same comparison, and nothing is put right: what differs, in words. Not beside `ensure`. */
  async survey(model: MeshModel): Promise<readonly string[]> {
    this.#looksOnly = true;
    try {
      return await this.ensure(model);
    } finally {
      this.#looksOnly = false;
    }
  }

  /** Whether a neighbour with the address stands for a node. */
  static isNode(model: MeshModel, address: string): boolean {
    return (
      address === ANY_NODE[4] ||
      address === ANY_NODE[6] ||
      model.peers().some((peer) => peer.nextHops.includes(address))
    );
  }

  /** Names of the settings that are not so, which they are afterwards. */
  #differing(settings: readonly Sysctl[]): readonly string[] {
    const { gateway } = this.#options;
    if (!this.#looksOnly) return gateway.ensureSettings(settings);
    return gateway.namespace.run(() => differingSysctls(settings)).map(([name]) => name);
  }

  async #execute(requests: readonly NetlinkRequest[]): Promise<void> {
    if (!this.#looksOnly) await this.#options.gateway.socket.execute(requests);
  }

  /** The mesh ends at this node: what led further goes. */
  async #remove(): Promise<readonly string[]> {
    const { gateway } = this.#options;
    const isThere = (await findLink(gateway.socket, MESH_DEVICE.name)) !== undefined;
    if (this.#looksOnly) return isThere ? ['device of the mesh'] : [];
    this.#tables = undefined;
    if (!isThere) return [];
    await gateway.filter.nftables.run('remove the tables of the mesh', removeMeshTableText());
    await gateway.socket.execute([deleteLink(MESH_DEVICE.name)]);
    return ['device of the mesh'];
  }

  async #ensureDevice(base: MeshBase, tunnel: Tunnel, repaired: string[]): Promise<void> {
    const { gateway } = this.#options;
    const found = await findLink(gateway.socket, MESH_DEVICE.name);
    if (found !== undefined) {
      const settings = vxlanSettings(found);
      const same =
        settings?.vni === base.vni &&
        settings.port === tunnel.port &&
        settings.local === tunnel.address &&
        found.mtu === base.mtu &&
        found.linkLayerAddress === tunnel.linkLayerAddress;
      if (same && found.up) return;
      repaired.push('device of the mesh');
      if (same) return this.#execute([setLinkUp(MESH_DEVICE.index)]);
      await this.#execute([deleteLink(MESH_DEVICE.name)]);
    } else repaired.push('device of the mesh');
    if (this.#looksOnly) return;
    // The kernel takes a table of the family netdev along with its device.
    this.#tables = undefined;
    await this.#addDevice(base, tunnel);
    await gateway.socket.execute([setLinkUp(MESH_DEVICE.index)]);
  }

  async #addDevice({ vni, mtu }: MeshBase, { address: local, port, linkLayerAddress }: Tunnel): Promise<void> {
    const { gateway, hostSocket, vniWaitMs, vniRetryMs, clock } = this.#options;
    const namespace = gateway.namespace.descriptor;
    const deadline = clock.monotonic() + vniWaitMs;
    for (;;) {
      try {
        await hostSocket.execute([addVxlan({ ...MESH_DEVICE, mtu, linkLayerAddress, vni, port, local, namespace })]);
        this.#isNumberTaken = false;
        return;
      } catch (error) {
        if (!isRefusal(error, 'EEXIST')) throw error;
        if (this.#isNumberTaken || clock.monotonic() >= deadline) {
          this.#isNumberTaken = true;
          throw vniTaken(error, vni, port);
        }
        await new Promise<void>((resolve) => void clock.setTimer(vniRetryMs, resolve));
      }
    }
  }

  async #ensurePeers(peers: readonly MeshPeer[], families: readonly Family[], repaired: string[]): Promise<void> {
    const { socket } = this.#options.gateway;
    const { index } = MESH_DEVICE;
    const neighbours = new Map([
      ...families.map((family) => [ANY_NODE[family], ANY_NODE.linkLayerAddress] as const),
      ...peers.flatMap((peer) => peer.nextHops.map((nextHop) => [nextHop, peer.linkLayerAddress] as const)),
    ]);
    const nodes = new Map(peers.map((peer) => [peer.linkLayerAddress, peer.node]));
    const listed: Neighbour[] = [];
    for (const family of families) listed.push(...(await listNeighbours(socket, KERNEL_FAMILY[family])));
    const foundNeighbours = new Map(
      listed
        .filter((one) => one.linkIndex === index && one.permanent)
        .map((one) => [one.address, one.linkLayerAddress ?? '']),
    );
    const foundNodes = new Map(
      (await listForwarding(socket))
        .filter((one) => one.linkIndex === index)
        .map((one) => [one.linkLayerAddress, one.node]),
    );
    const requests = [
      ...missing(neighbours, foundNeighbours).map(([address, mac]) => replaceNeighbour(index, address, mac)),
      ...missing(nodes, foundNodes).map(([mac, node]) => replaceForwarding(index, mac, node)),
      ...extra(neighbours, foundNeighbours).map((address) => deleteNeighbour(index, address)),
      ...extra(nodes, foundNodes).map((mac) => deleteForwarding(index, mac)),
    ];
    if (requests.length === 0) return;
    await this.#execute(requests);
    repaired.push('nodes of the mesh');
  }

  async #ensurePolicy(family: Family, repaired: string[]): Promise<void> {
    const { gateway } = this.#options;
    const { socket, plan } = gateway;
    const found = await listRules(socket, KERNEL_FAMILY[family]);
    const rules = policyRules(KERNEL_FAMILY[family]).filter((rule) => !found.some((one) => sameRule(one, rule)));
    const uplink = await findLink(socket, GATEWAY_UPLINK);
    assert(uplink !== undefined, 'the gateway has its cable');
    const host = family === 4 ? formatAddress(plan.hostAddress) : (gateway.ipv6?.hostAddress ?? '');
    const wanted = [
      { table: TABLE_HERE, linkIndex: uplink.index, gateway: host },
      { table: TABLE_ELSEWHERE, linkIndex: MESH_DEVICE.index, gateway: ANY_NODE[family] },
    ];
    const destination = EVERYTHING[family];
    const routes = await listRoutes(socket, KERNEL_FAMILY[family]);
    const absent = wanted.filter(
      (one) =>
        !routes.some(
          (route) =>
            route.destination === destination &&
            route.table === one.table &&
            route.linkIndex === one.linkIndex &&
            route.gateway === one.gateway,
        ),
    );
    if (rules.length + absent.length === 0) return;
    await this.#execute([...absent.map((route) => replaceRoute({ ...route, destination })), ...rules.map(addRule)]);
    repaired.push('policy rules of the mesh');
  }

  async #ensureRoutes(routes: ReadonlyMap<string, MeshRoute>, family: Family, repaired: string[]): Promise<void> {
    const { socket } = this.#options.gateway;
    const found = new Map<string, string>();
    for (const { destination, linkIndex, table, gateway, mtu } of await listRoutes(socket, KERNEL_FAMILY[family])) {
      const [address = '', length] = destination.split('/');
      const isTask = length === (family === 4 ? '32' : '128') && gateway !== undefined;
      if (linkIndex === MESH_DEVICE.index && table === MAIN_TABLE && isTask)
        found.set(address, routeText({ nextHop: gateway, mtu }));
    }
    const requests: NetlinkRequest[] = [];
    for (const [address, route] of routes)
      if (familyOfAddress(address) === family && found.get(address) !== routeText(route) && !this.local.has(address))
        requests.push(routeRequest(address, route));
    for (const address of found.keys())
      if (!routes.has(address) && !this.local.has(address)) requests.push(deleteRoute(hostPrefix(address)));
    if (requests.length === 0) return;
    await this.#execute(requests);
    repaired.push('routes of the mesh');
  }

  async #ensureTables(contents: MeshTableContents, repaired: string[]): Promise<void> {
    const { nftables } = this.#options.gateway.filter;
    const list = async (): Promise<string> => {
      const listings: string[] = [];
      for (const family of ['ip', ...(contents.hasIpv6 ? ['ip6'] : []), 'netdev'])
        listings.push(
          await nftables.list('list the tables of the mesh', `list table ${family} ${MESH_TABLE}`, { elements: true }),
        );
      return listings.join('');
    };
    const text = meshTableText(contents);
    // A table that is gone cannot be listed.
    if (this.#tables?.text === text && (await list().catch(() => '')) === this.#tables.listing) return;
    repaired.push('nftables tables of the mesh');
    if (this.#looksOnly) return;
    await nftables.run('load the tables of the mesh', text);
    this.#tables = { text, listing: await list() };
  }
}

function routeRequest(address: string, { nextHop, mtu }: MeshRoute): NetlinkRequest {
  const route = { destination: hostPrefix(address), linkIndex: MESH_DEVICE.index, gateway: nextHop };
  return replaceRoute(mtu === undefined ? route : { ...route, mtu });
}

function routeText({ nextHop, mtu }: MeshRoute): string {
  return `${nextHop} ${mtu ?? ''}`;
}

function missing(wanted: ReadonlyMap<string, string>, found: ReadonlyMap<string, string>): [string, string][] {
  return [...wanted].filter(([key, value]) => found.get(key) !== value);
}

function extra(wanted: ReadonlyMap<string, string>, found: ReadonlyMap<string, string>): string[] {
  return [...found.keys()].filter((key) => !wanted.has(key));
}

function vniTaken(cause: unknown, vni: number, port: number): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'network-failed',
    message: `number ${vni} of VXLAN on UDP port ${port} is in use on this host by something else`,
    hint: 'find it with `ip -d link show type vxlan` in the namespaces of the host (`lsns -t net`), or use another port',
    cause,
  });
}
