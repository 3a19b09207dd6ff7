/**
 * The cable between the host and the gateway namespace: addresses, routes and policy rules at both ends. What is missing
 * is added, what is too much in our routing table goes.
 */
import { assert } from '#common/errors.ts';
import { AF_INET, AF_INET6 } from '../kernel/ip-address.ts';
import type { NetlinkRequest, NetlinkSocket } from '../kernel/netlink.ts';
import { addAddress, listAddresses } from '../kernel/netlink-address.ts';
import { addVeth, deleteLink, findLink, type Link, setLinkUp } from '../kernel/netlink-link.ts';
import { hasNeighbour, replaceNeighbour } from '../kernel/netlink-neighbour.ts';
import { deleteRoute, listRoutes, MAIN_TABLE, replaceRoute } from '../kernel/netlink-route.ts';
import { addRule, deleteRule, listRules, type PolicyRule, sameRule } from '../kernel/netlink-rule.ts';
import type { AddressPlan } from './address-plan.ts';
import { GATEWAY_UPLINK } from './gateway-table.ts';
import type { Family } from './host-ports.ts';
import { FAMILIES } from './host-table.ts';
import type { InstanceNames } from './instance.ts';
import { formatAddress, formatPrefix, linkLayerAddressFor } from './ipv4.ts';
import type { Ipv6Plan } from './ipv6.ts';
import { ensureSysctl, type Sysctl } from './sysctls.ts';

const LOOPBACK_INDEX = 1;
const ICMP: Readonly<Record<Family, number>> = { 4: 1, 6: 58 };
const KERNEL_FAMILY: Readonly<Record<Family, number>> = { 4: AF_INET, 6: AF_INET6 };

/** For the host's end of the cable. */
const HOST_LINK_SYSCTLS: readonly Sysctl[] = [
  // With src_valid_mark this drops what arrives from tasks while our nftables table, which sets the mark, is missing.
  ['ipv4/conf/LINK/rp_filter', '1'],
  ['ipv4/conf/LINK/src_valid_mark', '1'],
  // For 127.0.0.1:<published port> of the host; the table drops every loopback address that arrives over the cable.
  ['ipv4/conf/LINK/route_localnet', '1'],
  ['ipv4/conf/LINK/accept_redirects', '0'],
];

/** Nobody is asked on the cable, and nobody believed: both ends are written down. */
const HOST_LINK_IPV6: readonly Sysctl[] = [
  ['ipv6/conf/LINK/addr_gen_mode', '1'],
  ['ipv6/conf/LINK/accept_ra', '0'],
  ['ipv6/conf/LINK/accept_redirects', '0'],
  ['ipv6/conf/LINK/dad_transmits', '0'],
  ['ipv6/conf/LINK/disable_ipv6', '0'],
];
const HOST_LINK_NO_IPV6: readonly Sysctl[] = [['ipv6/conf/LINK/disable_ipv6', '1']];

export interface Cable {
  readonly names: InstanceNames;
  readonly plan: AddressPlan;
  readonly ipv6: Ipv6Plan | undefined;
  readonly packetMark: number;
  readonly rulePriority: number;
  readonly hostSocket: NetlinkSocket;
  readonly gatewaySocket: NetlinkSocket;
  /** Descriptor of the gateway namespace. */
  readonly namespace: number;
}

/** The cable in words of one family. */
interface Ends {
  readonly family: Family;
  readonly host: string;
  readonly gateway: string;
  readonly bits: 32 | 128;
  /** Of the gateway network, then of the ingress network. */
  readonly prefixes: readonly string[];
  readonly everything: string;
}

function endsOf({ plan, ipv6 }: Cable): readonly Ends[] {
  const four: Ends = {
    family: 4,
    host: formatAddress(plan.hostAddress),
    gateway: formatAddress(plan.gatewayAddress),
    bits: 32,
    prefixes: [formatPrefix(plan.pool), ...(plan.ingress?.subnets ?? [])],
    everything: 'default',
  };
  if (ipv6 === undefined) return [four];
  const six: Ends = {
    family: 6,
    host: ipv6.hostAddress,
    gateway: ipv6.gatewayAddress,
    bits: 128,
    prefixes: [ipv6.prefix, ...(plan.ingress?.subnets6 ?? [])],
    everything: '::/0',
  };
  return [four, six];
}

/** Makes the cable whole. Says in `repaired` what was not. */
export async function ensureCable(cable: Cable, repaired: string[]): Promise<void> {
  const { names, plan, hostSocket, gatewaySocket, namespace } = cable;
  const here = await findLink(hostSocket, names.hostLink);
  const there = await findLink(gatewaySocket, GATEWAY_UPLINK);
  const { mtu } = plan;
  if (here === undefined || there === undefined) {
    await hostSocket.execute([
      deleteLink(names.hostLink),
      addVeth(
        { name: names.hostLink, mtu, linkLayerAddress: linkLayerAddressFor(plan.hostAddress) },
        { name: GATEWAY_UPLINK, mtu, linkLayerAddress: linkLayerAddressFor(plan.gatewayAddress) },
        namespace,
      ),
    ]);
    repaired.push('cable to the gateway namespace');
  }
  const link = await findLink(hostSocket, names.hostLink);
  assert(link !== undefined, 'the cable is there after it was made');
  await ensureHostSettings(cable, repaired);
  for (const ends of endsOf(cable)) {
    await ensureHostEnd(cable, ends, link, repaired);
    await ensureRules(cable, ends, repaired);
  }
  await ensureGatewayEnd(cable, repaired);
}

/** Everything of ours in the host's routing table and rules, of both families. */
export async function removeRoutes(hostSocket: NetlinkSocket, names: InstanceNames): Promise<void> {
  for (const family of FAMILIES) {
    const requests: NetlinkRequest[] = [];
    for (const rule of await listRules(hostSocket, KERNEL_FAMILY[family]))
      if (rule.table === names.routingTable) requests.push(deleteRule(rule));
    for (const route of await listRoutes(hostSocket, KERNEL_FAMILY[family]))
      if (route.table === names.routingTable) requests.push(deleteRoute(route.destination, names.routingTable));
    await hostSocket.execute(requests);
  }
}

async function ensureHostSettings({ names, ipv6 }: Cable, repaired: string[]): Promise<void> {
  for (const [template, value] of [
    ...HOST_LINK_SYSCTLS,
    ...(ipv6 === undefined ? HOST_LINK_NO_IPV6 : HOST_LINK_IPV6),
  ]) {
    const name = template.replace('LINK', names.hostLink);
    if (await ensureSysctl([name, value])) repaired.push(`setting net/${name}`);
  }
}

async function ensureHostEnd(cable: Cable, ends: Ends, link: Link, repaired: string[]): Promise<void> {
  const { names, plan, hostSocket } = cable;
  const { family, host, gateway, prefixes } = ends;
  const addresses = await listAddresses(hostSocket, KERNEL_FAMILY[family]);
  const routes = await listRoutes(hostSocket, KERNEL_FAMILY[family]);
  const ours = routes.filter((route) => route.table === names.routingTable).map((route) => route.destination);
  const routed = prefixes.every((destination) => ours.includes(destination));
  const addressed = addresses.some((one) => one.linkIndex === link.index && one.address === host);
  const gatewayLinkAddress = linkLayerAddressFor(plan.gatewayAddress);
  const known = await hasNeighbour(hostSocket, link.index, gateway, gatewayLinkAddress);
  if (!link.up || !routed || !addressed || !known) {
    await hostSocket.execute([
      addAddress(link.index, `${host}/${ends.bits}`, family === 4 ? { peer: gateway } : {}),
      setLinkUp(link.index),
      replaceNeighbour(link.index, gateway, gatewayLinkAddress),
      ...prefixes.map((destination) =>
        replaceRoute({ destination, linkIndex: link.index, gateway, table: names.routingTable }),
      ),
    ]);
    repaired.push('address and route of the gateway network');
  }
  const obsolete = ours.filter((destination) => !prefixes.includes(destination));
  await hostSocket.execute(obsolete.map((destination) => deleteRoute(destination, names.routingTable)));
}

async function ensureRules(cable: Cable, ends: Ends, repaired: string[]): Promise<void> {
  const { names, hostSocket } = cable;
  const due = rulesOf(cable, ends);
  const found = await listRules(hostSocket, KERNEL_FAMILY[ends.family]);
  const missing = due.filter((rule) => !found.some((one) => sameRule(one, rule)));
  if (missing.length > 0) {
    await hostSocket.execute(missing.map(addRule));
    repaired.push('policy rules of the gateway network');
  }
  const surplus = found.filter((one) => one.table === names.routingTable && !due.some((rule) => sameRule(one, rule)));
  await hostSocket.execute(surplus.map(deleteRule));
}

/**
 * Marked packets look up our table. So do the host's own ICMP messages to tasks, which the kernel routes before any rule
 * of ours can mark them: without them a refused connection would hang instead.
 */
function rulesOf({ names, packetMark, rulePriority }: Cable, ends: Ends): readonly PolicyRule[] {
  const common = { priority: rulePriority, table: names.routingTable, family: KERNEL_FAMILY[ends.family] ?? AF_INET };
  const rules: PolicyRule[] = [
    { ...common, mark: { value: packetMark, mask: packetMark } },
    ...ends.prefixes.map((destination) => ({ ...common, destination, ipProtocol: ICMP[ends.family] })),
  ];
  // Answers to names: a datagram is routed before it is marked, also on a host without a default route.
  if (ends.family === 4) return [...rules, { ...common, source: `${ends.host}/${ends.bits}` }];
  // IPv6 has no reverse path filter that would stop packets of tasks while our nftables table, which marks them, is
  // missing; and nothing for tasks leaves by the host's default route.
  const last = { ...common, priority: rulePriority + 1, prohibit: true };
  return [
    ...rules,
    { ...last, inputLink: names.hostLink, mark: { value: 0, mask: packetMark } },
    ...ends.prefixes.slice(0, 1).map((destination) => ({ ...last, destination })),
  ];
}

async function ensureGatewayEnd(cable: Cable, repaired: string[]): Promise<void> {
  const { plan, gatewaySocket } = cable;
  const uplink = await findLink(gatewaySocket, GATEWAY_UPLINK);
  assert(uplink !== undefined, 'the cable has both ends');
  for (const { family, host, gateway, bits, everything } of endsOf(cable)) {
    const routes = await listRoutes(gatewaySocket, KERNEL_FAMILY[family]);
    const addresses = await listAddresses(gatewaySocket, KERNEL_FAMILY[family]);
    const routed = routes.some(
      (route) => route.destination === everything && route.table === MAIN_TABLE && route.gateway === host,
    );
    const hostLinkAddress = linkLayerAddressFor(plan.hostAddress);
    const known = await hasNeighbour(gatewaySocket, uplink.index, host, hostLinkAddress);
    if (uplink.up && routed && known && addresses.some((one) => one.address === gateway)) continue;
    await gatewaySocket.execute([
      setLinkUp(LOOPBACK_INDEX),
      addAddress(uplink.index, `${gateway}/${bits}`, family === 4 ? { peer: host } : {}),
      setLinkUp(uplink.index),
      replaceNeighbour(uplink.index, host, hostLinkAddress),
      replaceRoute({ destination: everything, linkIndex: uplink.index, gateway: host }),
    ]);
    repaired.push('route out of the gateway namespace');
  }
}
