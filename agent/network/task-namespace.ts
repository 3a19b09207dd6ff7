/** One task's network namespace: its number says everything about it. */
import { join } from 'node:path';
import type { ContainerDns } from '#agent/dns/index.ts';
import { SwarmError } from '#common/errors.ts';
import { NetlinkSocket } from '../kernel/netlink.ts';
import { addAddress } from '../kernel/netlink-address.ts';
import { addVeth, deleteLink, setLinkUp } from '../kernel/netlink-link.ts';
import { replaceNeighbour } from '../kernel/netlink-neighbour.ts';
import { replaceRoute } from '../kernel/netlink-route.ts';
import { createNetworkNamespace, NetworkNamespace, removeNetworkNamespace } from '../kernel/netns.ts';
import { Nftables } from '../kernel/nftables.ts';
import type { Gateway } from './gateway.ts';
import { formatAddress, linkLayerAddressFor, type Prefix, prefixSize } from './ipv4.ts';
import { type Sysctl, writeSysctls } from './sysctls.ts';

/** The device inside the task's namespace that leads to the gateway. */
const TASK_LINK = 'gw';
const LOOPBACK_INDEX = 1;
/** Invariant: index 2 inside a task's namespace is the gateway's device and nothing else. */
const TASK_LINK_INDEX = 2;
/** Devices of tasks in the gateway namespace have indexes above those that the kernel gives to lo and the host's cable. */
const GATEWAY_LINK_BASE = 1024;
/** The next hop of every task; nobody has the address, the neighbour entry below is all there is to it. */
const NEXT_HOP = '169.254.1.1';
/** The gateway's end of every task's cable, so that the task needs no ARP. */
const NEXT_HOP_LINK_ADDRESS = 'ee:ee:ee:ee:ee:ee';

const SYSCTLS: readonly Sysctl[] = [
  // No IPv6 on devices made from here on; ::1 on lo stays, for programs that listen on [::].
  ['ipv6/conf/default/disable_ipv6', '1'],
  // As Docker does: a task without privileges may bind port 80 of its own namespace and send echo requests.
  ['ipv4/ip_unprivileged_port_start', '0'],
  ['ipv4/ping_group_range', '0 2147483647'],
];

/** A namespace and its place on the gateway network. */
export interface TaskNamespace {
  /** 1 and up, unique among the living ones of this instance; address and device names follow from it. */
  readonly number: number;
  readonly path: string;
  /** Undefined for one that is on no network. */
  readonly address: string | undefined;
}

export function taskNamespacePath(directory: string, number: number): string {
  return join(directory, 'ns', String(number));
}

export function gatewayLinkName(number: number): string {
  return `g${number}`;
}

/** The inverse of `gatewayLinkName`. */
export function numberOf(gatewayLink: string): number {
  return Number(gatewayLink.slice(1));
}

export function taskAddress(pool: Prefix, number: number): string {
  return formatAddress(pool.base + number);
}

/** Numbers in use. Gives them out in turn, so that an address rests as long as possible before its next owner. */
export class NamespaceNumbers {
  readonly #used = new Set<number>();
  #last = 0;

  /** The next free number whose address is in the pool and is not its broadcast address. Throws `address-pool`. */
  take(pool: Prefix): number {
    const largest = prefixSize(pool) - 2;
    for (let step = 1; step <= largest; step++) {
      const number = ((this.#last + step - 1) % largest) + 1;
      if (this.#used.has(number)) continue;
      this.#used.add(number);
      this.#last = number;
      return number;
    }
    throw new SwarmError({
      code: 'exhausted',
      reason: 'address-pool',
      message: `the gateway pool has no address left: all ${largest} are in use`,
      hint: 'give the node a larger gateway pool, or run fewer tasks on it',
    });
  }

  /** Takes a number that is known to be in use. */
  reserve(number: number): void {
    this.#used.add(number);
    this.giveOutAfter(number);
  }

  /** Lets the numbers up to this one rest: their devices may not be gone yet. */
  giveOutAfter(number: number): void {
    this.#last = Math.max(this.#last, number);
  }

  release(number: number): void {
    this.#used.delete(number);
  }

  has(number: number): boolean {
    return this.#used.has(number);
  }
}

/** A namespace with loopback only. */
export async function makeBareNamespace(directory: string, number: number): Promise<TaskNamespace> {
  const path = taskNamespacePath(directory, number);
  return withNewNamespace(path, async (_namespace, socket) => {
    await socket.execute([setLinkUp(LOOPBACK_INDEX)]);
    return { number, path, address: undefined };
  });
}

/** A namespace joined to the gateway. A failure leaves nothing behind. */
export async function makeGatewayNamespace(
  directory: string,
  number: number,
  gateway: Gateway,
): Promise<TaskNamespace> {
  const path = taskNamespacePath(directory, number);
  return withNewNamespace(path, async (_namespace, socket) => {
    await plug(socket, number, gateway);
    return { number, path, address: taskAddress(gateway.plan.pool, number) };
  });
}

/** Joins an existing namespace to the gateway again, after its device was lost. */
export async function replugNamespace(directory: string, number: number, gateway: Gateway): Promise<void> {
  await insideTask(directory, number, async (socket) => {
    // Its far end may be in a namespace that the kernel has not torn down yet.
    await socket.execute([deleteLink(TASK_LINK)]);
    await plug(socket, number, gateway);
  });
}

/** The gateway's side of a task's cable, to the address of the pool and another one if it has one. Also repairs it. */
export async function routeToTask(number: number, gateway: Gateway, ingressAddress?: string): Promise<void> {
  const index = GATEWAY_LINK_BASE + number;
  const { pool } = gateway.plan;
  const addresses = [taskAddress(pool, number), ...(ingressAddress === undefined ? [] : [ingressAddress])];
  await gateway.socket.execute([
    setLinkUp(index),
    ...addresses.flatMap((address) => [
      replaceNeighbour(index, address, linkLayerAddressFor(pool.base + number)),
      replaceRoute({ destination: `${address}/32`, linkIndex: index }),
    ]),
  ]);
}

/**
 * Gives a task that is joined to the gateway a second address, which it has towards everybody outside: published ports
 * of the cluster lead to it. Also repairs it.
 */
export async function giveIngressAddress(
  directory: string,
  number: number,
  gateway: Gateway,
  ingressAddress: string,
): Promise<void> {
  const own = taskAddress(gateway.plan.pool, number);
  const way = { linkIndex: TASK_LINK_INDEX, gateway: NEXT_HOP };
  await insideTask(directory, number, (socket) =>
    socket.execute([
      addAddress(TASK_LINK_INDEX, `${ingressAddress}/32`, { noPrefixRoute: true }),
      // Names are asked for from the address that says who asks.
      replaceRoute({ ...way, destination: `${formatAddress(gateway.plan.hostAddress)}/32`, preferredSource: own }),
      replaceRoute({ ...way, destination: 'default', preferredSource: ingressAddress }),
    ]),
  );
  await routeToTask(number, gateway, ingressAddress);
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
  work: (socket: NetlinkSocket) => Promise<void>,
): Promise<void> {
  const namespace = NetworkNamespace.open(taskNamespacePath(directory, number));
  try {
    const socket = NetlinkSocket.open(namespace);
    try {
      await work(socket);
    } finally {
      await socket.close();
    }
  } finally {
    namespace.close();
  }
}

async function plug(socket: NetlinkSocket, number: number, gateway: Gateway): Promise<void> {
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
  await routeToTask(number, gateway);
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
