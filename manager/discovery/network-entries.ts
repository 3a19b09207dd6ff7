/** One network's table, as agents have it. */
import { sameBytes } from '#common/same-bytes.ts';
import {
  NetworkChange,
  type NetworkEndpoint,
  type NetworkPeer,
  type NetworkService,
  NetworkTable,
} from '#gen/swarm/v1/networks.ts';

export type ChangeItem = NonNullable<NetworkChange['item']>;

export class NetworkEntries {
  readonly peers = new Map<string, NetworkPeer>();
  readonly services = new Map<string, NetworkService>();
  readonly endpoints = new Map<string, NetworkEndpoint>();
  /**
   * Node of each live task that has an address of the network. Not told to anybody. Invariant: holds every task that has
   * an endpoint, and besides them those of nodes that are down.
   */
  readonly attached = new Map<string, string>();
  #table: NetworkTable;
  /** Undefined when something has changed since it was made. */
  #complete: readonly NetworkChange[] | undefined;

  constructor(table: NetworkTable) {
    this.#table = table;
  }

  get table(): NetworkTable {
    return this.#table;
  }

  /** Says whether that is anything new. */
  setTable(table: NetworkTable): boolean {
    const differs = !sameMessage(NetworkTable, this.#table, table);
    this.#table = table;
    return differs;
  }

  /** Something in the table has changed. */
  changed(): void {
    this.#complete = undefined;
  }

  /**
   * The table as changes that make it from nothing: peers before the endpoints that are reached through them. The same
   * list for all who ask before something changes: with a new service a thousand nodes may.
   */
  complete(): readonly NetworkChange[] {
    this.#complete ??= this.#made();
    return this.#complete;
  }

  #made(): readonly NetworkChange[] {
    const items: ChangeItem[] = [{ kind: 'table', value: this.#table }];
    for (const value of this.peers.values()) items.push({ kind: 'peer', value });
    for (const value of this.services.values()) items.push({ kind: 'service', value });
    for (const value of this.endpoints.values()) items.push({ kind: 'endpoint', value });
    return items.map((item) => NetworkChange.create({ networkId: this.#table.networkId, item }));
  }
}

interface Encoder<T> {
  encode(message: T): Uint8Array;
}

export function sameMessage<T>(codec: Encoder<T>, a: T | undefined, b: T | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  const [left, right] = [codec.encode(a), codec.encode(b)];
  return sameBytes(left, right);
}
