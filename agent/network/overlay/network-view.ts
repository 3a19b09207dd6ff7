/** What the data path makes of the tables of networks: where packets travel, and what a change touches. */
import type { NetworkChange, NetworkPeer } from '#gen/swarm/v1/networks.ts';

/** Where the packets of a network travel between nodes. */
export interface Underlay {
  /** This node's address, IPv4 or IPv6: packets leave with it. */
  readonly address: string;
  /** UDP port of VXLAN, at every node. */
  readonly port: number;
  /** Largest packet that fits between nodes, in bytes: of the device with the address. */
  readonly mtu: number;
  /** Where the other node is reached; undefined when it cannot be, and then it is left out. */
  peerAddress(peer: NetworkPeer): string | undefined;
  /** Largest packet to the other node; undefined: as large as ours. */
  peerMtu(peer: NetworkPeer): number | undefined;
}

/** Ids of what an increment changed in one network. */
export interface TouchedItems {
  readonly peers: ReadonlySet<string>;
  readonly services: ReadonlySet<string>;
  readonly endpoints: ReadonlySet<string>;
  /** The table itself. */
  readonly table: boolean;
}

/** By network id. A network that is not in it is as it was. */
export type Touched = ReadonlyMap<string, TouchedItems>;

/** What these changes touch, for `OverlayNetworks.apply` of an increment. */
export function touchedBy(changes: readonly NetworkChange[]): Touched {
  const touched = new Map<
    string,
    { peers: Set<string>; services: Set<string>; endpoints: Set<string>; table: boolean }
  >();
  for (const { networkId, item } of changes) {
    const found = touched.get(networkId) ?? {
      peers: new Set(),
      services: new Set(),
      endpoints: new Set(),
      table: false,
    };
    touched.set(networkId, found);
    switch (item?.kind) {
      case 'peer':
        found.peers.add(item.value.nodeId);
        break;
      case 'service':
        found.services.add(item.value.serviceId);
        break;
      case 'endpoint':
        found.endpoints.add(item.value.taskId);
        break;
      case 'table':
      case undefined:
        found.table = true;
    }
  }
  return touched;
}
