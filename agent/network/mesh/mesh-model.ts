/**
 * What the routing mesh of this node should be, from the table of the ingress network: which published port leads to
 * which tasks, and which node has which task. Pure.
 */
import { isIPv4, isIPv6 } from 'node:net';
import type { NetworkView } from '#agent/discovery/index.ts';
import type { NetworkPeer } from '#gen/swarm/v1/networks.ts';
import { PortProtocol, PublishMode, TrafficPolicy } from '#gen/swarm/v1/specs.ts';
import { canonicalAddress } from '../../kernel/ip-address.ts';
import { type Family, familyOfAddress } from '../host-ports.ts';
import { elementKey } from '../host-table.ts';
import { networkMtu, nodeLinkAddress, nodeNextHop, routeMtu, subnetsOf } from '../overlay/addressing.ts';
import type { TouchedItems, Underlay } from '../overlay/network-view.ts';
import type { NetworkProtocol, PublishedAt } from '../task-network.ts';

/** A port that every node publishes. */
export interface MeshPort {
  readonly port: PublishedAt;
  /** By family, "10.0.0.21 . 80": where new connections go. Without any they are refused. */
  readonly backends: Readonly<Record<Family, readonly string[]>>;
}

/** The way to a task on another node. */
export interface MeshRoute {
  readonly nextHop: string;
  /** Largest packet, where it is less than that of the device. */
  readonly mtu: number | undefined;
}

/** Another node of the mesh. */
export interface MeshPeer {
  readonly index: number;
  readonly linkLayerAddress: string;
  /** Next hops for what lies behind it, one per family. */
  readonly nextHops: readonly string[];
  /** Whether its tasks are reached by IPv6. */
  readonly hasIpv6: boolean;
  /** Its address on the underlay. */
  readonly node: string;
}

/** What all else hangs on: when it changes, everything is looked at. */
export interface MeshBase {
  readonly vni: number;
  /** Of both families: "10.0.0.0/24", "fd00::/64". */
  readonly subnets: readonly string[];
  readonly mtu: number;
  /** Undefined: the mesh ends at this node. */
  readonly tunnel:
    | { readonly index: number; readonly linkLayerAddress: string; readonly address: string; readonly port: number }
    | undefined;
}

export interface MeshDelta {
  /** Ports that changed, by key; undefined: not published any more. */
  readonly ports: ReadonlyMap<string, MeshPort | undefined>;
  /** Routes that changed, by address; undefined: gone. */
  readonly routes: ReadonlyMap<string, MeshRoute | undefined>;
  /** Addresses of tasks that ended: connections to them lead nowhere. */
  readonly ended: readonly string[];
}

interface Endpoint {
  readonly serviceId: string;
  readonly nodeId: string;
  /** One per family that this node speaks. */
  readonly addresses: readonly string[];
  readonly serving: boolean;
}

const PROTOCOLS: Readonly<Partial<Record<PortProtocol, NetworkProtocol>>> = {
  [PortProtocol.UNSPECIFIED]: 'tcp',
  [PortProtocol.TCP]: 'tcp',
  [PortProtocol.UDP]: 'udp',
  [PortProtocol.SCTP]: 'sctp',
};
export class MeshModel {
  readonly #nodeId: string;
  readonly hasIpv6: boolean;
  #view: NetworkView | undefined;
  #underlay: Underlay | undefined;
  #base: MeshBase | undefined;
  /** By task id. */
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #tasksOfService = new Map<string, Set<string>>();
  /** Keys of the ports of a service. */
  readonly #portsOfService = new Map<string, ReadonlySet<string>>();
  readonly #ports = new Map<string, MeshPort>();
  readonly #routes = new Map<string, MeshRoute>();

  /** `hasIpv6`: whether this node speaks it; without, addresses of it are left out. */
  constructor(nodeId: string, hasIpv6: boolean) {
    this.#nodeId = nodeId;
    this.hasIpv6 = hasIpv6;
  }

  get base(): MeshBase | undefined {
    return this.#base;
  }

  get ports(): ReadonlyMap<string, MeshPort> {
    return this.#ports;
  }

  get routes(): ReadonlyMap<string, MeshRoute> {
    return this.#routes;
  }

  /** Nodes that packets can be sent to, other than this one. */
  peers(): readonly MeshPeer[] {
    return [...(this.#view?.peers.values() ?? [])].flatMap((peer) => {
      const found = this.#peer(peer);
      return found === undefined ? [] : [found];
    });
  }

  /** Takes over what is known now. `touched` is what may differ from before; undefined: anything. */
  update(view: NetworkView, underlay: Underlay | undefined, touched: TouchedItems | undefined): MeshDelta {
    const ports = new Map<string, MeshPort | undefined>();
    const routes = new Map<string, MeshRoute | undefined>();
    const ended: string[] = [];
    this.#view = view;
    this.#underlay = underlay;
    const base = this.#makeBase(view, underlay);
    const anew = JSON.stringify(base) !== JSON.stringify(this.#base);
    this.#base = base;
    const all = touched === undefined || anew || touched.peers.size > 0 || touched.table;
    const tasks = all ? everyKey(this.#endpoints, view.endpoints) : touched.endpoints;
    const services = new Set(all ? everyKey(this.#portsOfService, view.services) : touched.services);
    const arrived: Endpoint[] = [];
    for (const taskId of tasks) {
      const before = this.#endpoints.get(taskId);
      const after = this.#takeEndpoint(taskId, view);
      for (const address of before?.addresses ?? [])
        if (after?.addresses.includes(address) !== true) {
          ended.push(address);
          this.#setRoute(address, undefined, routes);
        }
      if (after !== undefined) arrived.push(after);
      for (const serviceId of [before?.serviceId, after?.serviceId])
        if (serviceId !== undefined && serviceId !== '') services.add(serviceId);
    }
    // After those that left: an address may have a new owner in the same step.
    for (const endpoint of arrived)
      for (const address of endpoint.addresses) this.#setRoute(address, this.#routeTo(endpoint, address), routes);
    for (const serviceId of services) this.#updateService(serviceId, ports);
    // Who took over the address of a task that ended has it in the same step, or nobody has.
    const living =
      ended.length === 0 ? new Set() : new Set([...this.#endpoints.values()].flatMap((one) => one.addresses));
    return { ports, routes, ended: ended.filter((address) => !living.has(address)) };
  }

  #makeBase(view: NetworkView, underlay: Underlay | undefined): MeshBase {
    const subnets = subnetsOf(view.table).flatMap((one) => (one.family === 4 || this.hasIpv6 ? [one.prefix] : []));
    const index = view.peers.get(this.#nodeId)?.index ?? 0;
    const tunnel =
      underlay === undefined || index === 0
        ? undefined
        : { index, linkLayerAddress: nodeLinkAddress(index), address: underlay.address, port: underlay.port };
    return { vni: view.table.vni, subnets, mtu: networkMtu(view.table, underlay), tunnel };
  }

  #peer(peer: NetworkPeer): MeshPeer | undefined {
    const { index, nodeId } = peer;
    const node = this.#underlay?.peerAddress(peer);
    if (nodeId === this.#nodeId || node === undefined || node === '' || index === 0 || this.#base?.tunnel === undefined)
      return undefined;
    return {
      index,
      node,
      linkLayerAddress: nodeLinkAddress(index),
      nextHops: this.#families().map((family) => nodeNextHop(index, family)),
      hasIpv6: peer.dataPath?.ipv6 === true,
    };
  }

  #families(): readonly Family[] {
    return this.hasIpv6 ? [4, 6] : [4];
  }

  #takeEndpoint(taskId: string, view: NetworkView): Endpoint | undefined {
    const found = view.endpoints.get(taskId);
    const before = this.#endpoints.get(taskId);
    const addresses = (found?.addresses ?? [])
      .filter((one) => isIPv4(one) || (this.hasIpv6 && isIPv6(one)))
      .map(canonicalAddress);
    if (before !== undefined) removeFrom(this.#tasksOfService, before.serviceId, taskId);
    if (found === undefined || addresses.length === 0) {
      this.#endpoints.delete(taskId);
      return undefined;
    }
    const { serviceId, nodeId, serving } = found;
    const endpoint = { serviceId, nodeId, addresses, serving };
    this.#endpoints.set(taskId, endpoint);
    addTo(this.#tasksOfService, serviceId, taskId);
    return endpoint;
  }

  #setRoute(address: string, route: MeshRoute | undefined, changed: Map<string, MeshRoute | undefined>): void {
    const before = this.#routes.get(address);
    if (before?.nextHop === route?.nextHop && before?.mtu === route?.mtu) return;
    if (route === undefined) this.#routes.delete(address);
    else this.#routes.set(address, route);
    changed.set(address, route);
  }

  #routeTo({ nodeId }: Endpoint, address: string): MeshRoute | undefined {
    const family = familyOfAddress(address);
    const peer = this.#view?.peers.get(nodeId);
    const found = peer === undefined ? undefined : this.#peer(peer);
    if (peer === undefined || found === undefined || this.#underlay === undefined || this.#base === undefined)
      return undefined;
    if (family === 6 && !found.hasIpv6) return undefined;
    return {
      nextHop: nodeNextHop(found.index, family),
      mtu: routeMtu(this.#base.mtu, this.#underlay.peerMtu(peer), this.#underlay),
    };
  }

  #updateService(serviceId: string, changed: Map<string, MeshPort | undefined>): void {
    const wanted = this.#portsOf(serviceId);
    for (const key of this.#portsOfService.get(serviceId) ?? [])
      if (!wanted.has(key)) {
        this.#ports.delete(key);
        changed.set(key, undefined);
      }
    for (const [key, port] of wanted) {
      const before = this.#ports.get(key)?.backends;
      if (JSON.stringify(before) === JSON.stringify(port.backends) && !changed.has(key)) continue;
      this.#ports.set(key, port);
      changed.set(key, port);
    }
    if (wanted.size === 0) this.#portsOfService.delete(serviceId);
    else this.#portsOfService.set(serviceId, new Set(wanted.keys()));
  }

  #portsOf(serviceId: string): ReadonlyMap<string, MeshPort> {
    const found = new Map<string, MeshPort>();
    for (const config of this.#view?.services.get(serviceId)?.ports ?? []) {
      const protocol = PROTOCOLS[config.protocol];
      if (config.publishMode === PublishMode.HOST || config.publishedPort === 0 || protocol === undefined) continue;
      const hostIp = config.hostIp === '' ? {} : { hostIp: canonicalAddress(config.hostIp) };
      const port = { protocol, publishedPort: config.publishedPort, ...hostIp };
      const backends = (family: Family): readonly string[] =>
        this.#backendsOf(serviceId, config.trafficPolicy, family).map((address) => `${address} . ${config.targetPort}`);
      found.set(elementKey(port), { port, backends: { 4: backends(4), 6: backends(6) } });
    }
    return found;
  }

  #backendsOf(serviceId: string, policy: TrafficPolicy, family: Family): readonly string[] {
    const here: string[] = [];
    const elsewhere: string[] = [];
    for (const taskId of this.#tasksOfService.get(serviceId) ?? []) {
      const endpoint = this.#endpoints.get(taskId);
      if (endpoint?.serving !== true) continue;
      const addresses = endpoint.addresses.filter((address) => familyOfAddress(address) === family);
      if (endpoint.nodeId === this.#nodeId) here.push(...addresses);
      else elsewhere.push(...addresses.filter((address) => this.#routes.has(address)));
    }
    if (policy === TrafficPolicy.LOCAL || (policy === TrafficPolicy.PREFER_LOCAL && here.length > 0)) return here;
    return [...here, ...elsewhere];
  }
}

function everyKey<T>(left: ReadonlyMap<string, T>, right: ReadonlyMap<string, unknown>): ReadonlySet<string> {
  return new Set([...left.keys(), ...right.keys()]);
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
