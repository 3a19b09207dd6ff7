/**
 * What the router of one network on this node should be: pure, from what is known of the network and from the tasks that
 * are on it here. Answers each change with what has to be done to the kernel.
 */
import type { NetworkView } from '#agent/discovery/index.ts';
import type { NetworkEndpoint, NetworkPeer, NetworkTable } from '#gen/swarm/v1/networks.ts';
import { canonicalAddress, hostPrefix } from '../../kernel/ip-address.ts';
import { type FlowFilter, IP_PROTOCOL_UDP } from '../../kernel/netlink-conntrack.ts';
import type { ElementChange } from '../../kernel/nftables-elements.ts';
import { isFamily, networkMtu, nodeLinkAddress, nodeNextHop, routeMtu, type Subnet, subnetsOf } from './addressing.ts';
import { ItemBook, type ItemDelta } from './item-book.ts';
import { type Device, type Item, LOOPBACK } from './kernel/operations.ts';
import { type ElementGroup, LoadBalancer, setsFor } from './load-balancer.ts';
import type { TouchedItems, Underlay } from './network-view.ts';
import { TASK_DEVICE_LETTER, VXLAN_DEVICE } from './router-table.ts';

/** Invariant: the first device of a router after lo. */
export const VXLAN: Device = { name: VXLAN_DEVICE, index: 2 };
/** Devices of tasks have indexes above those of lo and the VXLAN device. */
const TASK_DEVICE_BASE = 1024;
/** Of the devices inside tasks, above that of the gateway network. */
const DEVICE_IN_TASK_BASE = 16;

/** Some milliseconds of work. */
const ITEMS_PER_TURN = 1000;

/** A task's cable to a network. */
export interface TaskLink {
  readonly taskId: string;
  readonly networkId: string;
  readonly netnsPath: string;
  /** Of the task's networks: its device is eth0, eth1, ... */
  readonly position: number;
  /** Of the router's end; 0 where there is no router. */
  readonly number: number;
  readonly addresses: readonly string[];
  readonly linkLayerAddress: string;
}

export function deviceInTask({ position }: Pick<TaskLink, 'position'>): Device {
  return { name: `eth${position}`, index: DEVICE_IN_TASK_BASE + position };
}

export function deviceInRouter({ number }: Pick<TaskLink, 'number'>): Device {
  return { name: `${TASK_DEVICE_LETTER}${number}`, index: TASK_DEVICE_BASE + number };
}

/** What to do to the kernel, in this order: set, groups, delete, flows. */
export interface RouterDelta extends ItemDelta {
  /** More than this has changed: only a comparison of everything finds it all. */
  readonly anew: boolean;
  readonly groups: readonly ElementGroup[];
  readonly flows: readonly FlowFilter[];
}

interface Collected {
  readonly groups: ElementGroup[];
  readonly flows: FlowFilter[];
}

function changedKeys<T>(before: ReadonlyMap<string, T> | undefined, after: ReadonlyMap<string, T>): Set<string> {
  const changed = new Set<string>();
  for (const [key, value] of after) if (before?.get(key) !== value) changed.add(key);
  for (const key of before?.keys() ?? []) if (!after.has(key)) changed.add(key);
  return changed;
}

export class RouterModel {
  readonly #nodeId: string;
  readonly items = new ItemBook();
  readonly balancer = new LoadBalancer();
  #view: NetworkView | undefined;
  #underlay: Underlay | undefined;
  #subnets: readonly Subnet[] = [];
  #nodeIndex: number | undefined;
  #mtu = 0;
  /** By task id. */
  readonly #links = new Map<string, TaskLink>();
  /** Last applied, to tell what an endpoint was. */
  readonly #endpoints = new Map<string, NetworkEndpoint>();
  readonly #endpointsOfNode = new Map<string, Set<string>>();
  readonly #endpointsOfService = new Map<string, Set<string>>();
  /** Service addresses, by service id. */
  readonly #vips = new Map<string, readonly string[]>();

  constructor(nodeId: string) {
    this.#nodeId = nodeId;
  }

  get subnets(): readonly Subnet[] {
    return this.#subnets;
  }

  get mtu(): number {
    return this.#mtu;
  }

  /** Of this node in the cluster; undefined until a table has told it. */
  get nodeIndex(): number | undefined {
    return this.#nodeIndex;
  }

  get underlay(): Underlay | undefined {
    return this.#underlay;
  }

  get links(): ReadonlyMap<string, TaskLink> {
    return this.#links;
  }

  /**
   * Takes over what is known of the network now. With `touched` only those items are looked at; without, everything that
   * is another object than before. Throws `bad-field` for a table that makes no sense, and then nothing has changed.
   */
  update(view: NetworkView, underlay: Underlay | undefined, touched?: TouchedItems): RouterDelta {
    const steps = this.updateInSteps(view, underlay, touched);
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
    }
  }

  /** As `update`, with a pause wherever it yields: tens of thousands of endpoints take longer than one turn may. */
  *updateInSteps(
    view: NetworkView,
    underlay: Underlay | undefined,
    touched?: TouchedItems,
  ): Generator<void, RouterDelta> {
    const before = this.#view;
    // A node that has left the network keeps the address it had as long as the network is here.
    const nodeIndex = view.peers.get(this.#nodeId)?.index ?? this.#nodeIndex;
    const sameNode = nodeIndex === this.#nodeIndex && sameUnderlay(this.#underlay, underlay);
    const anew = !sameTable(before?.table, view.table) || !sameNode;
    if (anew) {
      const subnets = subnetsOf(view.table);
      this.#mtu = networkMtu(view.table, underlay);
      this.#subnets = subnets;
      this.#nodeIndex = nodeIndex;
      this.items.put('gateways', this.#gatewayItems());
    }
    this.#view = view;
    this.#underlay = underlay;
    const same = anew ? undefined : touched;
    const peers = same?.peers ?? (anew ? everyKey(before?.peers, view.peers) : changedKeys(before?.peers, view.peers));
    const services = new Set(
      same?.services ??
        (anew ? everyKey(before?.services, view.services) : changedKeys(before?.services, view.services)),
    );
    const endpoints = same?.endpoints ?? changedKeys(before?.endpoints, view.endpoints);
    const collected: Collected = { groups: [], flows: [] };
    let done = 0;
    const isTurnOver = (): boolean => ++done % ITEMS_PER_TURN === 0;
    const routed = new Set(endpoints);
    for (const nodeId of peers) {
      this.items.put(`peer ${nodeId}`, this.#peerItems(view.peers.get(nodeId)));
      for (const taskId of this.#endpointsOfNode.get(nodeId) ?? []) routed.add(taskId);
    }
    for (const taskId of endpoints) {
      for (const serviceId of this.#updateEndpoint(taskId, view, collected.flows)) services.add(serviceId);
      if (isTurnOver()) yield;
    }
    for (const taskId of routed) {
      this.items.put(`endpoint ${taskId}`, this.#endpointItems(view.endpoints.get(taskId)));
      if (isTurnOver()) yield;
    }
    if (anew) for (const link of this.#links.values()) this.items.put(`task ${link.taskId}`, this.#taskItems(link));
    for (const serviceId of services) {
      this.#updateService(serviceId, view, collected);
      if (isTurnOver()) yield;
    }
    return { ...this.items.take(), ...collected, anew };
  }

  /** The task's cable is there: lead to it. */
  attach(link: TaskLink): RouterDelta {
    this.#links.set(link.taskId, link);
    this.items.put(`task ${link.taskId}`, this.#taskItems(link));
    return { ...this.items.take(), groups: [this.#hairpin(link, 'add')], flows: [], anew: false };
  }

  /** Nothing leads to the task any more. */
  detach(taskId: string): RouterDelta {
    const link = this.#links.get(taskId);
    if (link === undefined) return { set: [], delete: [], groups: [], flows: [], anew: false };
    this.#links.delete(taskId);
    this.items.put(`task ${taskId}`, []);
    const flows = link.addresses.map((address): FlowFilter => ({ replySource: canonicalAddress(address) }));
    return { ...this.items.take(), groups: [this.#hairpin(link, 'delete')], flows, anew: false };
  }

  /** Elements of the set of tasks that may be their own backends. */
  hairpins(family: 4 | 6): Map<string, string> {
    const found = new Map<string, string>();
    for (const link of this.#links.values())
      for (const address of link.addresses.map(canonicalAddress))
        if (isFamily(address, family)) found.set(`${address} . ${address}`, '');
    return found;
  }

  #hairpin(link: TaskLink, action: ElementChange['action']): ElementGroup {
    return link.addresses.map((text) => {
      const address = canonicalAddress(text);
      return { set: setsFor(address).hairpin, action, key: `${address} . ${address}` };
    });
  }

  #gatewayItems(): readonly Item[] {
    return this.#subnets.map(({ gateway }) => ({ kind: 'address', device: LOOPBACK, prefix: hostPrefix(gateway) }));
  }

  #taskItems(link: TaskLink): readonly Item[] {
    const device = deviceInRouter(link);
    return link.addresses.flatMap((address): readonly Item[] => {
      const gateway = this.#subnets.find((one) => one.contains(address))?.gateway;
      return [
        {
          kind: 'neighbour',
          device,
          address: canonicalAddress(address),
          linkLayerAddress: link.linkLayerAddress,
        },
        {
          kind: 'route',
          destination: hostPrefix(address),
          device,
          // What the router itself has to say (unreachable, too big) comes from an address of the network.
          ...(gateway === undefined ? {} : { preferredSource: gateway }),
        },
      ];
    });
  }

  #peerItems(peer: NetworkPeer | undefined): readonly Item[] {
    const underlay = this.#underlay;
    if (peer === undefined || underlay === undefined || peer.nodeId === this.#nodeId) return [];
    const node = underlay.peerAddress(peer);
    if (node === undefined) return [];
    const linkLayerAddress = nodeLinkAddress(peer.index);
    const families = new Set(this.#subnets.map(({ family }) => family));
    return [
      { kind: 'forwarding', device: VXLAN, linkLayerAddress, node: canonicalAddress(node) },
      ...Array.from(
        families,
        (family): Item => ({
          kind: 'neighbour',
          device: VXLAN,
          address: nodeNextHop(peer.index, family),
          linkLayerAddress,
        }),
      ),
    ];
  }

  #endpointItems(endpoint: NetworkEndpoint | undefined): readonly Item[] {
    const underlay = this.#underlay;
    if (endpoint === undefined || underlay === undefined || endpoint.nodeId === this.#nodeId) return [];
    const peer = this.#view?.peers.get(endpoint.nodeId);
    if (peer === undefined || underlay.peerAddress(peer) === undefined) return [];
    const mtu = routeMtu(this.#mtu, underlay.peerMtu(peer), underlay);
    return endpoint.addresses.map((address) => ({
      kind: 'route',
      destination: hostPrefix(address),
      device: VXLAN,
      gateway: nodeNextHop(peer.index, isFamily(address, 4) ? 4 : 6),
      ...(mtu === undefined ? {} : { mtu }),
    }));
  }

  /** Says which services it was and is part of. */
  #updateEndpoint(taskId: string, view: NetworkView, flows: FlowFilter[]): readonly string[] {
    const before = this.#endpoints.get(taskId);
    const after = view.endpoints.get(taskId);
    if (before !== undefined) {
      removeFrom(this.#endpointsOfNode, before.nodeId, taskId);
      removeFrom(this.#endpointsOfService, before.serviceId, taskId);
      this.#endpoints.delete(taskId);
      // The task has ended: its clients are to learn that now, not when their patience ends.
      for (const address of before.addresses)
        if (after?.addresses.includes(address) !== true) flows.push({ replySource: canonicalAddress(address) });
    }
    if (after !== undefined) {
      addTo(this.#endpointsOfNode, after.nodeId, taskId);
      if (after.serviceId !== '') addTo(this.#endpointsOfService, after.serviceId, taskId);
      this.#endpoints.set(taskId, after);
    }
    return [before?.serviceId, after?.serviceId].filter((id): id is string => id !== undefined && id !== '');
  }

  #updateService(serviceId: string, view: NetworkView, { groups, flows }: Collected): void {
    const before = this.#vips.get(serviceId) ?? [];
    const after = (view.services.get(serviceId)?.addresses ?? []).map(canonicalAddress);
    this.items.put(
      `service ${serviceId}`,
      after.map((vip) => ({ kind: 'route', destination: hostPrefix(vip), device: LOOPBACK, local: true })),
    );
    if (after.length === 0) this.#vips.delete(serviceId);
    else this.#vips.set(serviceId, after);
    const backends = after.length === 0 ? [] : this.#backendsOf(serviceId);
    for (const vip of new Set([...before, ...after])) {
      const family = isFamily(vip, 4) ? 4 : 6;
      const wanted = after.includes(vip) ? backends.filter((address) => isFamily(address, family)) : [];
      const change = this.balancer.setBackends(vip, wanted);
      if (change.changes.length > 0) groups.push(change.changes);
      // Datagrams have no end that would free them of a backend; connections of TCP stay with theirs.
      for (const replySource of change.removed)
        flows.push({ ipProtocol: IP_PROTOCOL_UDP, originalDestination: vip, replySource });
      // Those that were refused so far, or else a client that goes on sending would go on being refused.
      if (change.woke && before.includes(vip)) flows.push({ ipProtocol: IP_PROTOCOL_UDP, originalDestination: vip });
    }
  }

  #backendsOf(serviceId: string): readonly string[] {
    const found: string[] = [];
    for (const taskId of this.#endpointsOfService.get(serviceId) ?? []) {
      const endpoint = this.#endpoints.get(taskId);
      // Without an underlay the network ends at this node.
      const reachable = this.#underlay !== undefined || endpoint?.nodeId === this.#nodeId;
      if (endpoint?.serving === true && reachable) found.push(...endpoint.addresses.map(canonicalAddress));
    }
    return found;
  }
}

function everyKey<T>(left: ReadonlyMap<string, T> | undefined, right: ReadonlyMap<string, T>): Set<string> {
  return new Set([...(left?.keys() ?? []), ...right.keys()]);
}

function addTo(sets: Map<string, Set<string>>, key: string, value: string): void {
  const found = sets.get(key);
  if (found === undefined) sets.set(key, new Set([value]));
  else found.add(value);
}

function removeFrom(sets: Map<string, Set<string>>, key: string, value: string): void {
  const found = sets.get(key);
  found?.delete(value);
  if (found?.size === 0) sets.delete(key);
}

/** A table that came again says the same in another object. */
function sameTable(left: NetworkTable | undefined, right: NetworkTable): boolean {
  return left === right || JSON.stringify(left) === JSON.stringify(right);
}

/** Where packets go, leaving aside who decides about peers. */
export function sameUnderlay(left: Underlay | undefined, right: Underlay | undefined): boolean {
  return left?.address === right?.address && left?.port === right?.port && left?.mtu === right?.mtu;
}
