/** The kernel by system calls: netlink, libnftables, setns. */
import { SwarmError } from '#common/errors.ts';
import { AF_UNSPEC } from '../../../kernel/ip-address.ts';
import { NETLINK_NETFILTER, type NetlinkRequest, NetlinkSocket } from '../../../kernel/netlink.ts';
import { addAddress, deleteAddress, listAddresses } from '../../../kernel/netlink-address.ts';
import { type FlowFilter, forgetAll } from '../../../kernel/netlink-conntrack.ts';
import { type NetworkEvent, type NetworkWatch, watchNetwork } from '../../../kernel/netlink-events.ts';
import { addVeth, deleteLink, findLink, listLinks, setLinkUp } from '../../../kernel/netlink-link.ts';
import { addIpvlan, addMacvlan } from '../../../kernel/netlink-macvlan.ts';
import { deleteNeighbour, listNeighbours, replaceNeighbour } from '../../../kernel/netlink-neighbour.ts';
import { deleteRoute, listRoutes, replaceRoute } from '../../../kernel/netlink-route.ts';
import { addRule, deleteRule, listRules } from '../../../kernel/netlink-rule.ts';
import {
  addVxlan,
  deleteForwarding,
  listForwarding,
  replaceForwarding,
  vxlanSettings,
} from '../../../kernel/netlink-vxlan.ts';
import {
  createNetworkNamespace,
  isNetworkNamespace,
  NetworkNamespace,
  removeNetworkNamespace,
} from '../../../kernel/netns.ts';
import { Nftables } from '../../../kernel/nftables.ts';
import {
  changeElements,
  type ElementChange,
  type ElementSet,
  listElements,
} from '../../../kernel/nftables-elements.ts';
import { readPseudoFile } from '../../../kernel/pseudo-file.ts';
import { type Sysctl, sysctlPath, writeSysctls } from '../../sysctls.ts';
import type { KernelNamespace, LinkState, NetworkKernel } from './network-kernel.ts';
import { type Item, LOCAL_TABLE, type Operation, type RouteItem, tableOf } from './operations.ts';

/** The rules that every namespace has: local, main, default. */
const RULES_OF_THE_KERNEL = [0, 32766, 32767];
const SETTING_BYTES_MAX = 256;

function setRequest(item: Item): NetlinkRequest {
  switch (item.kind) {
    case 'address':
      return addAddress(item.device.index, item.prefix, { noPrefixRoute: item.prefixRoute !== true });
    case 'route': {
      const { kind: _kind, device, ...route } = item;
      return replaceRoute({ ...route, linkIndex: device.index, table: tableOf(item) });
    }
    case 'neighbour':
      return replaceNeighbour(item.device.index, item.address, item.linkLayerAddress);
    case 'forwarding':
      return replaceForwarding(item.device.index, item.linkLayerAddress, item.node);
    case 'rule':
      return addRule(item);
  }
}

function deleteRequest(item: Item): NetlinkRequest {
  switch (item.kind) {
    case 'address':
      return deleteAddress(item.device.index, item.prefix);
    case 'route':
      return deleteRoute(item.destination, tableOf(item));
    case 'neighbour':
      return deleteNeighbour(item.device.index, item.address);
    case 'forwarding':
      return deleteForwarding(item.device.index, item.linkLayerAddress);
    case 'rule':
      return deleteRule(item);
  }
}

class NetlinkNamespace implements KernelNamespace {
  readonly #namespace: NetworkNamespace;
  readonly #routes: NetlinkSocket;
  #filter: NetlinkSocket | undefined;
  #nftables: Nftables | undefined;

  constructor(namespace: NetworkNamespace) {
    this.#namespace = namespace;
    this.#routes = NetlinkSocket.open(namespace);
  }

  async change(operations: readonly Operation[]): Promise<void> {
    const opened = new Map<string, NetworkNamespace>();
    const descriptor = (path: string): number => {
      const namespace = opened.get(path) ?? NetworkNamespace.open(path);
      opened.set(path, namespace);
      return namespace.descriptor;
    };
    try {
      const requests: NetlinkRequest[] = [];
      for (const operation of operations) requests.push(await this.#request(operation, descriptor));
      await this.#routes.execute(requests);
    } finally {
      for (const namespace of opened.values()) namespace.close();
    }
  }

  async links(): Promise<readonly LinkState[]> {
    return (await listLinks(this.#routes)).map((link) => ({
      name: link.name,
      index: link.index,
      up: link.up,
      mtu: link.mtu,
      kind: link.kind,
      linkLayerAddress: link.linkLayerAddress,
      vxlan: vxlanSettings(link),
    }));
  }

  async items(): Promise<readonly Item[]> {
    const names = new Map((await listLinks(this.#routes)).map((link) => [link.index, link.name]));
    const device = (index: number | undefined) => ({ index: index ?? 0, name: names.get(index ?? 0) ?? '' });
    const items: Item[] = [];
    for (const one of await listAddresses(this.#routes, AF_UNSPEC))
      if (!one.kernelMade)
        items.push({ kind: 'address', device: device(one.linkIndex), prefix: `${one.address}/${one.prefixLength}` });
    for (const one of await listRoutes(this.#routes, AF_UNSPEC))
      if (!one.kernelMade) items.push(routeItem(one, device(one.linkIndex)));
    for (const { linkIndex, address, linkLayerAddress, permanent } of await listNeighbours(this.#routes, AF_UNSPEC))
      if (permanent && linkLayerAddress !== undefined)
        items.push({ kind: 'neighbour', device: device(linkIndex), address, linkLayerAddress });
    for (const { priority, source, table } of await listRules(this.#routes, AF_UNSPEC))
      if (source !== undefined && !RULES_OF_THE_KERNEL.includes(priority))
        items.push({ kind: 'rule', priority, source, table });
    for (const { linkIndex, linkLayerAddress, node } of await listForwarding(this.#routes))
      items.push({ kind: 'forwarding', device: device(linkIndex), linkLayerAddress, node });
    return items;
  }

  async ensureSettings(settings: readonly Sysctl[], mode?: 'look only'): Promise<readonly string[]> {
    return this.#namespace.run(() => {
      const differing = settings.filter(([name, value]) => {
        const current = readPseudoFile(sysctlPath(name), SETTING_BYTES_MAX);
        return current !== undefined && current.trim().replaceAll('\t', ' ') !== value;
      });
      if (mode === undefined) writeSysctls(differing);
      return differing.map(([name]) => name);
    });
  }

  load(what: string, text: string): Promise<void> {
    return this.#text().run(what, text);
  }

  ruleset(): Promise<string> {
    return this.#text().list('list the rules of a network', 'list ruleset', { elements: false });
  }

  elements(set: ElementSet): Promise<ReadonlyMap<string, string>> {
    return listElements(this.#netfilter(), set);
  }

  changeElements(groups: readonly (readonly ElementChange[])[]): Promise<void> {
    return changeElements(this.#netfilter(), groups);
  }

  async forgetFlows(filters: readonly FlowFilter[]): Promise<void> {
    if (filters.length > 0) await forgetAll(this.#netfilter(), filters);
  }

  watch(onEvents: (events: readonly NetworkEvent[]) => void): NetworkWatch {
    // What we did ourselves is no news.
    return watchNetwork(this.#namespace, this.#routes.portId, onEvents);
  }

  async close(): Promise<void> {
    await this.#nftables?.close();
    await this.#filter?.close();
    await this.#routes.close();
    this.#namespace.close();
  }

  #netfilter(): NetlinkSocket {
    this.#filter ??= NetlinkSocket.open(this.#namespace, NETLINK_NETFILTER);
    return this.#filter;
  }

  #text(): Nftables {
    this.#nftables ??= Nftables.open(this.#namespace);
    return this.#nftables;
  }

  async #request(operation: Operation, descriptor: (path: string) => number): Promise<NetlinkRequest> {
    switch (operation.do) {
      case 'add-vxlan':
        return addVxlan({ ...operation.device, ...operation.vxlan, namespace: descriptor(operation.into) });
      case 'add-veth':
        return addVeth(operation.near, operation.far, descriptor(operation.into));
      case 'add-macvlan': {
        const { device, parent, mode, into } = operation;
        const parentIndex = await this.#parentIndex(parent);
        return addMacvlan({ ...device, parentIndex, namespace: descriptor(into) }, mode);
      }
      case 'add-ipvlan': {
        const { device, parent, mode, into } = operation;
        const parentIndex = await this.#parentIndex(parent);
        return addIpvlan({ ...device, parentIndex, namespace: descriptor(into) }, mode);
      }
      case 'delete-link':
        return deleteLink(operation.name);
      case 'set-up':
        return setLinkUp(operation.device.index);
      case 'set':
        return setRequest(operation.item);
      case 'delete':
        return deleteRequest(operation.item);
    }
  }

  async #parentIndex(parent: string): Promise<number> {
    const link = await findLink(this.#routes, parent);
    if (link !== undefined) return link.index;
    throw noParent(parent);
  }
}

function routeItem(
  route: Awaited<ReturnType<typeof listRoutes>>[number],
  device: { readonly index: number; readonly name: string },
): RouteItem {
  return {
    kind: 'route',
    destination: route.destination,
    device,
    ...(route.table === (route.local ? LOCAL_TABLE : 254) ? {} : { table: route.table }),
    ...(route.local ? { local: true } : {}),
    ...(route.gateway === undefined ? {} : { gateway: route.gateway }),
    ...(route.mtu === undefined ? {} : { mtu: route.mtu }),
    ...(route.preferredSource === undefined ? {} : { preferredSource: route.preferredSource }),
  };
}

export function noParent(parent: string): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'network-failed',
    message: `the parent device ${parent} does not exist on this node`,
    hint: 'make the device, or choose another one with --opt parent=',
  });
}

/** Needs koffi and libnftables. */
export class NetlinkKernel implements NetworkKernel {
  readonly #hostPath: string | undefined;

  /** `hostPath`: the host's namespace, where that is not the one the process runs in. */
  constructor(hostPath?: string) {
    this.#hostPath = hostPath;
  }

  async host(): Promise<KernelNamespace> {
    const path = this.#hostPath;
    return new NetlinkNamespace(path === undefined ? NetworkNamespace.own() : NetworkNamespace.open(path));
  }

  async create(path: string): Promise<KernelNamespace> {
    return new NetlinkNamespace(createNetworkNamespace(path));
  }

  async open(path: string): Promise<KernelNamespace> {
    return new NetlinkNamespace(NetworkNamespace.open(path));
  }

  async exists(path: string): Promise<boolean> {
    return isNetworkNamespace(path);
  }

  async remove(path: string): Promise<void> {
    removeNetworkNamespace(path);
  }
}
