/** This node's copy of the tables of networks. Pure. */
import { sameBytes } from '#common/same-bytes.ts';
import {
  type NetworkChange,
  NetworkChanges,
  NetworkChangesType,
  NetworkEndpoint,
  NetworkPeer,
  NetworkService,
  NetworkTable,
} from '#gen/swarm/v1/networks.ts';

/** One network, as this node was told of it. */
export interface NetworkView {
  readonly table: NetworkTable;
  /** By node id. */
  readonly peers: ReadonlyMap<string, NetworkPeer>;
  /** By service id. */
  readonly services: ReadonlyMap<string, NetworkService>;
  /** By task id. */
  readonly endpoints: ReadonlyMap<string, NetworkEndpoint>;
}

/** By network id. */
export type NetworkViews = ReadonlyMap<string, NetworkView>;

/** What really changed, in an order in which it can be applied one by one. */
export interface NetworkStep {
  /** Commit of the store that the tables stand for after it. */
  readonly version: number;
  readonly changes: readonly NetworkChange[];
}

interface Entries extends NetworkView {
  table: NetworkTable;
  readonly peers: Map<string, NetworkPeer>;
  readonly services: Map<string, NetworkService>;
  readonly endpoints: Map<string, NetworkEndpoint>;
}

type Item = NonNullable<NetworkChange['item']>;

/** A key that is unique within a network, for a record of the change. */
export function entryKey(item: Item): string {
  switch (item.kind) {
    case 'table':
      return 'table';
    case 'peer':
      return `peer ${item.value.nodeId}`;
    case 'service':
      return `service ${item.value.serviceId}`;
    case 'endpoint':
      return `endpoint ${item.value.taskId}`;
  }
}

export class NetworkTables {
  readonly #networks = new Map<string, Entries>();
  /** Parts of a message that is not whole yet. */
  #parts: NetworkChange[] = [];

  get views(): NetworkViews {
    return this.#networks;
  }

  /** A new session begins: parts of an unfinished message of the last one are worth nothing. */
  sessionBegan(): void {
    this.#parts = [];
  }

  /** Takes a message; the step that it completes, or undefined while more parts are to come. */
  receive(message: NetworkChanges): NetworkStep | undefined {
    for (const change of message.changes) this.#parts.push(change);
    if (message.more) return undefined;
    const parts = this.#parts;
    this.#parts = [];
    const wanted = message.type === NetworkChangesType.COMPLETE ? [...this.#obsolete(parts), ...parts] : parts;
    return { version: message.version, changes: wanted.filter((change) => this.#apply(change)) };
  }

  /** Everything, as changes that make it from nothing. */
  all(): readonly NetworkChange[] {
    const changes: NetworkChange[] = [];
    for (const [networkId, { table, peers, services, endpoints }] of this.#networks) {
      const add = (item: Item): void => void changes.push({ networkId, remove: false, item });
      add({ kind: 'table', value: table });
      for (const value of peers.values()) add({ kind: 'peer', value });
      for (const value of services.values()) add({ kind: 'service', value });
      for (const value of endpoints.values()) add({ kind: 'endpoint', value });
    }
    return changes;
  }

  /** Removals of what is here and not among these. Endpoints go first: traffic to what is gone is the worst that can be. */
  #obsolete(complete: readonly NetworkChange[]): readonly NetworkChange[] {
    const named = new Set<string>();
    for (const { networkId, item } of complete) if (item !== undefined) named.add(`${networkId} ${entryKey(item)}`);
    const removals = this.all().flatMap(({ networkId, item }): NetworkChange[] =>
      item === undefined || named.has(`${networkId} ${entryKey(item)}`) ? [] : [{ networkId, remove: true, item }],
    );
    return removals.reverse();
  }

  /** Says whether that changed anything. */
  #apply({ networkId, remove, item }: NetworkChange): boolean {
    if (item === undefined) return false; // an entry of a kind that a newer release knows
    const entries = this.#networks.get(networkId);
    if (item.kind === 'table') {
      if (remove) return this.#networks.delete(networkId);
      if (entries === undefined) {
        const fresh = { table: item.value, peers: new Map(), services: new Map(), endpoints: new Map() };
        this.#networks.set(networkId, fresh);
        return true;
      }
      const differs = !sameMessage(NetworkTable, entries.table, item.value);
      entries.table = item.value;
      return differs;
    }
    return entries !== undefined && applyEntry(entries, remove, item);
  }
}

function applyEntry(entries: Entries, remove: boolean, item: Exclude<Item, { kind: 'table' }>): boolean {
  switch (item.kind) {
    case 'peer':
      return put(entries.peers, item.value.nodeId, remove, item.value, NetworkPeer);
    case 'service':
      return put(entries.services, item.value.serviceId, remove, item.value, NetworkService);
    case 'endpoint':
      return put(entries.endpoints, item.value.taskId, remove, item.value, NetworkEndpoint);
  }
}

interface Encoder<T> {
  encode(message: T): Uint8Array;
}

function put<T>(map: Map<string, T>, key: string, remove: boolean, value: T, codec: Encoder<T>): boolean {
  if (remove) return map.delete(key);
  const old = map.get(key);
  if (old !== undefined && sameMessage(codec, old, value)) return false;
  map.set(key, value);
  return true;
}

function sameMessage<T>(codec: Encoder<T>, a: T, b: T): boolean {
  const [left, right] = [codec.encode(a), codec.encode(b)];
  return sameBytes(left, right);
}
