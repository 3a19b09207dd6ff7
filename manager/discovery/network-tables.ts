/**
 * The tables of all networks, as agents get them. Follows the store: a commit says which entries may look different, and
 * those are derived anew from the view. So following commits leads to the same tables as starting from a view.
 */
import { NetworkChange, NetworkEndpoint, NetworkPeer, NetworkService, NetworkTable } from '#gen/swarm/v1/networks.ts';
import type { NetworkAttachment, Node, Task } from '#gen/swarm/v1/objects.ts';
import type { StoreEvent, StoreView } from '#manager/store/index.ts';
import {
  endpointEntry,
  isDown,
  isLeaving,
  isLive,
  isReady,
  networksOfService,
  peerOf,
  serviceEntry,
  tableOf,
} from './entries.ts';
import { type ChangeItem, NetworkEntries, sameMessage } from './network-entries.ts';
import { PairCounts } from './pair-counts.ts';

/** What a commit changed, by network. A network that is gone has one change: the removal of its table. */
export type NetworkTableChanges = ReadonlyMap<string, readonly NetworkChange[]>;

/** What has to be derived anew. */
class Dirty {
  readonly networks = new Set<string>();
  readonly services = new Set<string>();
  readonly tasks = new Set<string>();
  readonly nodes = new Set<string>();
  /** Changes found so far. */
  readonly changes = new Map<string, NetworkChange[]>();

  note(networkId: string, remove: boolean, item: ChangeItem): void {
    let list = this.changes.get(networkId);
    if (list === undefined) {
      list = [];
      this.changes.set(networkId, list);
    }
    list.push(NetworkChange.create({ networkId, remove, item }));
  }
}

export class NetworkTables {
  readonly #networks = new Map<string, NetworkEntries>();
  /** Networks that the task, which is live, has an address of. Invariant: no empty list. */
  readonly #taskNetworks = new Map<string, readonly string[]>();
  /** Networks in which the service has an entry. Invariant: no empty list. */
  readonly #serviceNetworks = new Map<string, readonly string[]>();
  /** Node and network: the live tasks on the node that have an address of the network, also while the node is down. */
  readonly #nodeNetworks = new PairCounts();
  /** Node and network: one where the node is a peer. */
  readonly #nodePeers = new PairCounts();
  #ingressId: string | undefined;

  restore(view: StoreView): void {
    this.#networks.clear();
    this.#taskNetworks.clear();
    this.#serviceNetworks.clear();
    this.#nodeNetworks.clear();
    this.#nodePeers.clear();
    this.#ingressId = undefined;
    const dirty = new Dirty();
    for (const { id } of view.all('network')) dirty.networks.add(id);
    this.#refresh(dirty, view);
  }

  /** Takes note of a commit; `view` includes it. */
  observe(events: readonly StoreEvent[], view: StoreView): NetworkTableChanges {
    const dirty = new Dirty();
    for (const event of events) noteEvent(event, dirty, view);
    return this.#refresh(dirty, view);
  }

  /** The whole table, as changes that make it from nothing. Empty for a network that is not there or not ready. */
  complete(networkId: string): readonly NetworkChange[] {
    return this.#networks.get(networkId)?.complete() ?? [];
  }

  /**
   * Networks whose tables the node needs: those that its tasks are on, and ingress. A node that is down keeps its needs
   * as long as its tasks count as live: cut off, it may be running them, and it is to find its networks when it is back.
   */
  neededBy(nodeId: string): ReadonlySet<string> {
    const needed = new Set(this.#nodeNetworks.of(nodeId));
    if (this.#ingressId !== undefined) needed.add(this.#ingressId);
    return needed;
  }

  /** The table as it is now; undefined for a network that is not there or not ready. Changes with the next commit. */
  entries(networkId: string): Pick<NetworkEntries, 'table' | 'peers' | 'services' | 'endpoints'> | undefined {
    return this.#networks.get(networkId);
  }

  /** Nodes that take part in the network. */
  peersOf(networkId: string): readonly string[] {
    return [...(this.#networks.get(networkId)?.peers.keys() ?? [])];
  }

  /** Networks in whose tables the task is. */
  networksOfTask(taskId: string): readonly string[] {
    const networks = this.#taskNetworks.get(taskId) ?? [];
    return networks.filter((id) => this.#networks.get(id)?.endpoints.has(taskId) === true);
  }

  #refresh(dirty: Dirty, view: StoreView): NetworkTableChanges {
    for (const id of dirty.networks) this.#refreshNetwork(id, dirty, view);
    for (const id of dirty.services) this.#refreshService(id, dirty, view);
    for (const id of dirty.tasks) this.#refreshTask(id, dirty, view);
    for (const id of dirty.nodes) this.#refreshPeer(id, dirty, view);
    for (const id of dirty.changes.keys()) this.#networks.get(id)?.changed();
    return dirty.changes;
  }

  #refreshNetwork(id: string, dirty: Dirty, view: StoreView): void {
    const network = view.get('network', id);
    const table = network === undefined ? undefined : tableOf(network, view.cluster());
    const entries = this.#networks.get(id);
    if (table === undefined) {
      if (entries !== undefined) this.#dropNetwork(id, entries, dirty);
    } else if (entries === undefined) {
      this.#networks.set(id, new NetworkEntries(table));
      if (table.ingress) this.#ingressId = id;
      dirty.note(id, false, { kind: 'table', value: table });
      // Whoever is on it is found. Networks appear rarely, and mostly before anything is on them.
      for (const service of view.all('service')) dirty.services.add(service.id);
      for (const task of view.all('task')) if (task.networks.length > 0) dirty.tasks.add(task.id);
      for (const node of view.all('node')) dirty.nodes.add(node.id);
    } else if (entries.setTable(table)) dirty.note(id, false, { kind: 'table', value: table });
  }

  #dropNetwork(id: string, entries: NetworkEntries, dirty: Dirty): void {
    for (const [taskId, nodeId] of entries.attached) {
      setList(this.#taskNetworks, taskId, without(this.#taskNetworks.get(taskId), id));
      this.#nodeNetworks.subtract(nodeId, id);
    }
    for (const nodeId of entries.peers.keys()) this.#nodePeers.subtract(nodeId, id);
    for (const serviceId of entries.services.keys())
      setList(this.#serviceNetworks, serviceId, without(this.#serviceNetworks.get(serviceId), id));
    this.#networks.delete(id);
    if (this.#ingressId === id) this.#ingressId = undefined;
    dirty.note(id, true, { kind: 'table', value: NetworkTable.create({ networkId: id }) });
  }

  #refreshService(id: string, dirty: Dirty, view: StoreView): void {
    const service = view.get('service', id);
    const candidates = service === undefined ? [] : networksOfService(service, this.#ingressId);
    const now: string[] = [];
    for (const networkId of new Set([...(this.#serviceNetworks.get(id) ?? []), ...candidates])) {
      const entries = this.#networks.get(networkId);
      const network = view.get('network', networkId);
      if (entries === undefined || network === undefined) continue;
      const entry = service === undefined ? undefined : serviceEntry(service, network);
      if (entry !== undefined) now.push(networkId);
      const old = entries.services.get(id);
      if (sameMessage(NetworkService, old, entry)) continue;
      setOrDelete(entries.services, id, entry);
      const value = entry ?? NetworkService.create({ serviceId: id });
      dirty.note(networkId, entry === undefined, { kind: 'service', value });
    }
    setList(this.#serviceNetworks, id, now);
  }

  #refreshTask(id: string, dirty: Dirty, view: StoreView): void {
    const task = view.get('task', id);
    const attachments = task !== undefined && isLive(task) ? task.networks.filter(hasAddress) : [];
    const now: string[] = [];
    const before = this.#taskNetworks.get(id) ?? [];
    for (const networkId of new Set([...before, ...attachments.map(({ network }) => network)])) {
      const entries = this.#networks.get(networkId);
      if (entries === undefined) continue;
      const attachment = attachments.find(({ network }) => network === networkId);
      const isAttached = task !== undefined && attachment !== undefined;
      if (isAttached) now.push(networkId);
      this.#attach(id, isAttached ? task.nodeId : undefined, entries, dirty);
      const entry = isAttached ? endpointOf(task, attachment, view) : undefined;
      if (sameMessage(NetworkEndpoint, entries.endpoints.get(id), entry)) continue;
      setOrDelete(entries.endpoints, id, entry);
      const value = entry ?? NetworkEndpoint.create({ taskId: id });
      dirty.note(networkId, entry === undefined, { kind: 'endpoint', value });
    }
    setList(this.#taskNetworks, id, now);
  }

  /** The task has an address of the network, on that node; undefined: not any more. */
  #attach(taskId: string, nodeId: string | undefined, entries: NetworkEntries, dirty: Dirty): void {
    const before = entries.attached.get(taskId);
    if (before === nodeId) return;
    const { networkId } = entries.table;
    setOrDelete(entries.attached, taskId, nodeId);
    if (before !== undefined) {
      this.#nodeNetworks.subtract(before, networkId);
      dirty.nodes.add(before);
    }
    if (nodeId === undefined) return;
    this.#nodeNetworks.add(nodeId, networkId);
    dirty.nodes.add(nodeId);
  }

  #refreshPeer(id: string, dirty: Dirty, view: StoreView): void {
    const node = view.get('node', id);
    const peer = node === undefined ? undefined : peerOf(node);
    const needed = this.neededBy(id);
    for (const networkId of new Set([...this.#nodePeers.of(id), ...needed])) {
      const entries = this.#networks.get(networkId);
      const old = entries?.peers.get(id);
      const entry = needed.has(networkId) ? peer : undefined;
      if (entries === undefined || sameMessage(NetworkPeer, old, entry)) continue;
      setOrDelete(entries.peers, id, entry);
      if (old === undefined) this.#nodePeers.add(id, networkId);
      if (entry === undefined) this.#nodePeers.subtract(id, networkId);
      const value = entry ?? NetworkPeer.create({ nodeId: id });
      dirty.note(networkId, entry === undefined, { kind: 'peer', value });
    }
  }
}

/** Which entries the event may change. What never shows in a table (most of what a status says) is left out here. */
function noteEvent(event: StoreEvent, dirty: Dirty, view: StoreView): void {
  switch (event.table) {
    case 'network':
      dirty.networks.add(event.object.id);
      return;
    case 'cluster': // may change which networks are encrypted, and the port
      for (const { id } of view.all('network')) dirty.networks.add(id);
      return;
    case 'service':
      dirty.services.add(event.object.id);
      return;
    case 'task':
      if (event.kind !== 'update' || looksDifferent(event.old, event.object)) dirty.tasks.add(event.object.id);
      return;
    case 'node':
      if (event.kind === 'update' && sameNode(event.old, event.object)) return;
      dirty.nodes.add(event.object.id);
      if (event.kind === 'update' && sameReach(event.old, event.object)) return;
      for (const task of view.tasksOfNode(event.object.id)) dirty.tasks.add(task.id);
      return;
    default: // a revision is there before its tasks and does not change; the rest shows in no table
      return;
  }
}

function looksDifferent(old: Task, task: Task): boolean {
  return (
    old.nodeId !== task.nodeId ||
    old.desiredState !== task.desiredState ||
    old.status?.state !== task.status?.state ||
    isReady(old) !== isReady(task) ||
    old.networks.length !== task.networks.length ||
    old.networks.some((one, index) => !sameAttachment(one, task.networks[index]))
  );
}

function sameAttachment(a: NetworkAttachment, b: NetworkAttachment | undefined): boolean {
  return a.network === b?.network && sameList(a.addresses, b.addresses) && sameList(a.aliases, b.aliases);
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one, index) => one === b[index]);
}

function sameNode(old: Node, node: Node): boolean {
  return sameReach(old, node) && sameMessage(NetworkPeer, peerOf(old), peerOf(node));
}

/** What becomes of the endpoints on the node is the same. */
function sameReach(old: Node, node: Node): boolean {
  return isDown(old) === isDown(node) && isLeaving(old) === isLeaving(node);
}

function endpointOf(task: Task, attachment: NetworkAttachment, view: StoreView): NetworkEndpoint | undefined {
  const { spec } = view.revision(task.serviceId, task.revision) ?? {};
  return endpointEntry(task, { attachment, node: view.get('node', task.nodeId), spec });
}

function hasAddress(attachment: NetworkAttachment): boolean {
  return attachment.addresses.length > 0;
}

function without(list: readonly string[] | undefined, one: string): readonly string[] {
  return list?.filter((other) => other !== one) ?? [];
}

function setList(map: Map<string, readonly string[]>, key: string, list: readonly string[]): void {
  setOrDelete(map, key, list.length === 0 ? undefined : list);
}

function setOrDelete<T>(map: Map<string, T>, key: string, value: T | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
