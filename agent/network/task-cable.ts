/** The cable between a task and the gateway: making it, what is at its two ends, and making it again. */
import type { ContainerDns } from '#agent/dns/index.ts';
import { hostPrefix } from '../kernel/ip-address.ts';
import { type NetlinkRequest, NetlinkSocket } from '../kernel/netlink.ts';
import { addAddress } from '../kernel/netlink-address.ts';
import { addVeth, deleteLink, listLinks, setLinkUp } from '../kernel/netlink-link.ts';
import { replaceNeighbour } from '../kernel/netlink-neighbour.ts';
import { replaceRoute } from '../kernel/netlink-route.ts';
import {
  createNetworkNamespace,
  isNetworkNamespace,
  NetworkNamespace,
  removeNetworkNamespace,
} from '../kernel/netns.ts';
import { Nftables } from '../kernel/nftables.ts';
import type { Gateway } from './gateway.ts';
import { formatAddress, linkLayerAddressFor } from './ipv4.ts';
import { taskAddress6 } from './ipv6.ts';
import { type Sysctl, writeSysctls } from './sysctls.ts';
import {
  gatewayLinkName,
  type TaskNamespace,
  taskAddress,
  taskAddresses,
  taskNamespacePath,
} from './task-namespace.ts';

/** The device inside the task's namespace that leads to the gateway. */
const TASK_LINK = 'gw';
const LOOPBACK_INDEX = 1;
/** Invariant: index 2 inside a task's namespace is the gateway's device and nothing else. */
const TASK_LINK_INDEX = 2;
/** Devices of tasks in the gateway namespace have indexes above those that the kernel gives to lo and the host's cable. */
const GATEWAY_LINK_BASE = 1024;
/** The next hops of every task; nobody has the addresses, the neighbour entries below are all there is to them. */
const NEXT_HOP = '169.254.1.1';
const NEXT_HOP6 = 'fe80::1';
/** The gateway's end of every task's cable, so that the task needs not ask. */
const NEXT_HOP_LINK_ADDRESS = 'ee:ee:ee:ee:ee:ee';

/** Devices whose other end is a device of the host. */
const LAN_KINDS: ReadonlySet<string> = new Set(['macvlan', 'ipvlan']);

const SYSCTLS: readonly Sysctl[] = [
  // No IPv6 on devices made from here on, unless they get an address of it; ::1 on lo stays, for programs that listen on
  // [::].
  ['ipv6/conf/default/disable_ipv6', '1'],
  // As Docker does: a task without privileges may bind port 80 of its own namespace and send echo requests.
  ['ipv4/ip_unprivileged_port_start', '0'],
  ['ipv4/ping_group_range', '0 2147483647'],
];

/** For the task's device on a node with IPv6: nobody is asked, and nobody believed. */
const TASK_LINK_IPV6: readonly Sysctl[] = [
  [`ipv6/conf/${TASK_LINK}/accept_ra`, '0'],
  [`ipv6/conf/${TASK_LINK}/dad_transmits`, '0'],
  [`ipv6/conf/${TASK_LINK}/disable_ipv6`, '0'],
];

/** A namespace with loopback only. */
export function makeBareNamespace(directory: string, number: number): Promise<TaskNamespace> {
  const path = taskNamespacePath(directory, number);
  return withNewNamespace(path, async (_namespace, socket) => {
    await socket.execute([setLinkUp(LOOPBACK_INDEX)]);
    return { number, path };
  });
}

/** A namespace joined to the gateway. A failure leaves nothing behind. */
export function makeGatewayNamespace(directory: string, number: number, gateway: Gateway): Promise<TaskNamespace> {
  const path = taskNamespacePath(directory, number);
  return withNewNamespace(path, async (namespace, socket) => {
    await plug(namespace, socket, number, gateway);
    return { number, path };
  });
}

/** Joins an existing namespace to the gateway again, after its device was lost. */
export function replugNamespace(directory: string, number: number, gateway: Gateway): Promise<void> {
  return insideTask(directory, number, async (namespace, socket) => {
    // Its far end may be in a namespace that the kernel has not torn down yet.
    await socket.execute([deleteLink(TASK_LINK)]);
    await plug(namespace, socket, number, gateway);
  });
}

/**
 * Takes away a task's devices on LANs, which hang on nothing of ours outside: a namespace that somebody keeps alive when
 * its file is removed would stay there with an address that another task gets.
 */
export async function leaveLans(path: string): Promise<void> {
  if (!isNetworkNamespace(path)) return;
  const namespace = NetworkNamespace.open(path);
  try {
    const socket = NetlinkSocket.open(namespace);
    try {
      const onLans = (await listLinks(socket)).filter((link) => LAN_KINDS.has(link.kind ?? ''));
      await socket.execute(onLans.map((link) => deleteLink(link.index)));
    } finally {
      await socket.close();
    }
  } finally {
    namespace.close();
  }
}

/** Those of the addresses that this node routes. */
export function routedAddresses(gateway: Gateway, addresses: readonly string[]): readonly string[] {
  return gateway.ipv6 === undefined ? addresses.filter((address) => !address.includes(':')) : addresses;
}

/** The gateway's side of a task's cable, to its own addresses and those of the ingress network. Also repairs it. */
export async function routeToTask(
  number: number,
  gateway: Gateway,
  ingressAddresses: readonly string[] = [],
): Promise<void> {
  const index = GATEWAY_LINK_BASE + number;
  const linkLayerAddress = linkLayerAddressFor(gateway.plan.pool.base + number);
  const addresses = routedAddresses(gateway, [...taskAddresses(gateway, number), ...ingressAddresses]);
  if (gateway.ipv6 !== undefined)
    // On a device that was made while this node had no IPv6.
    gateway.ensureSettings([[`ipv6/conf/${gatewayLinkName(number)}/disable_ipv6`, '0']]);
  await gateway.socket.execute([
    setLinkUp(index),
    ...addresses.flatMap((address) => [
      replaceNeighbour(index, address, linkLayerAddress),
      replaceRoute({ destination: hostPrefix(address), linkIndex: index }),
    ]),
  ]);
}

/**
 * Gives a task that is joined to the gateway more addresses, one per family, which it has towards everybody outside:
 * published ports of the cluster lead to them. Also repairs its whole IPv6.
 */
export async function giveIngressAddresses(
  directory: string,
  number: number,
  gateway: Gateway,
  ingressAddresses: readonly string[],
): Promise<void> {
  const own = taskAddress(gateway.plan.pool, number);
  const way = { linkIndex: TASK_LINK_INDEX, gateway: NEXT_HOP };
  const ofFour = ingressAddresses.filter((address) => !address.includes(':'));
  const ofSix = ingressAddresses.find((address) => address.includes(':'));
  const requests = ofFour.flatMap((address) => [
    addAddress(TASK_LINK_INDEX, hostPrefix(address), { noPrefixRoute: true }),
    // Names are asked for from the address that says who asks.
    replaceRoute({ ...way, destination: `${formatAddress(gateway.plan.hostAddress)}/32`, preferredSource: own }),
    replaceRoute({ ...way, destination: 'default', preferredSource: address }),
  ]);
  await insideTask(directory, number, async (namespace, socket) => {
    await socket.execute(requests);
    await giveIpv6(namespace, socket, number, gateway, ofSix);
  });
  await routeToTask(number, gateway, ingressAddresses);
}

/** Makes 127.0.0.11 answer in the task. */
export async function serveNames(directory: string, number: number, dns: ContainerDns): Promise<void> {
  const namespace = NetworkNamespace.open(taskNamespacePath(directory, number));
  try {
    namespace.run(() => writeSysctls(dns.settings));
    const nftables = Nftables.open(namespace);
    try {
      await nftables.run('lead questions for names to the resolver', dns.nftables);
    } finally {
      await nftables.close();
    }
  } finally {
    namespace.close();
  }
}

async function insideTask(
  directory: string,
  number: number,
  work: (namespace: NetworkNamespace, socket: NetlinkSocket) => Promise<void>,
): Promise<void> {
  const namespace = NetworkNamespace.open(taskNamespacePath(directory, number));
  try {
    const socket = NetlinkSocket.open(namespace);
    try {
      await work(namespace, socket);
    } finally {
      await socket.close();
    }
  } finally {
    namespace.close();
  }
}

async function plug(
  namespace: NetworkNamespace,
  socket: NetlinkSocket,
  number: number,
  gateway: Gateway,
): Promise<void> {
  const { pool, mtu } = gateway.plan;
  const address = taskAddress(pool, number);
  await socket.execute([
    addVeth(
      { name: TASK_LINK, index: TASK_LINK_INDEX, mtu, linkLayerAddress: linkLayerAddressFor(pool.base + number) },
      {
        name: gatewayLinkName(number),
        index: GATEWAY_LINK_BASE + number,
        mtu,
        linkLayerAddress: NEXT_HOP_LINK_ADDRESS,
      },
      gateway.namespace.descriptor,
    ),
    setLinkUp(LOOPBACK_INDEX),
    addAddress(TASK_LINK_INDEX, `${address}/32`),
    replaceNeighbour(TASK_LINK_INDEX, NEXT_HOP, NEXT_HOP_LINK_ADDRESS),
    replaceRoute({ destination: 'default', linkIndex: TASK_LINK_INDEX, gateway: NEXT_HOP, preferredSource: address }),
  ]);
  await giveIpv6(namespace, socket, number, gateway, undefined);
  await routeToTask(number, gateway);
}

/** The inside of a task's device in IPv6; nothing on a node without. */
async function giveIpv6(
  namespace: NetworkNamespace,
  socket: NetlinkSocket,
  number: number,
  gateway: Gateway,
  ingressAddress: string | undefined,
): Promise<void> {
  if (gateway.ipv6 === undefined) return;
  const own = taskAddress6(gateway.names, number);
  const addresses = ingressAddress === undefined ? [own] : [own, ingressAddress];
  const requests: NetlinkRequest[] = addresses.map((address) => addAddress(TASK_LINK_INDEX, hostPrefix(address)));
  namespace.run(() => writeSysctls(TASK_LINK_IPV6));
  await socket.execute([
    ...requests,
    replaceNeighbour(TASK_LINK_INDEX, NEXT_HOP6, NEXT_HOP_LINK_ADDRESS),
    replaceRoute({
      destination: '::/0',
      linkIndex: TASK_LINK_INDEX,
      gateway: NEXT_HOP6,
      preferredSource: ingressAddress ?? own,
    }),
  ]);
}

async function withNewNamespace<T>(
  path: string,
  work: (namespace: NetworkNamespace, socket: NetlinkSocket) => Promise<T>,
): Promise<T> {
  // A file without a namespace is left of a boot before; one with a namespace cannot be: numbers are unique.
  removeNetworkNamespace(path);
  const namespace = createNetworkNamespace(path);
  try {
    namespace.run(() => writeSysctls(SYSCTLS));
    const socket = NetlinkSocket.open(namespace);
    try {
      return await work(namespace, socket);
    } finally {
      await socket.close();
    }
  } catch (error) {
    removeNetworkNamespace(path);
    throw error;
  } finally {
    namespace.close();
  }
}
