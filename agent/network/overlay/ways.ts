/** How packets that test the way to the other nodes of a network leave this one. */
import type { NetworkView } from '#agent/discovery/index.ts';
import type { NetworkPeer } from '#gen/swarm/v1/networks.ts';
import type { ProbePlace } from '../probe/network-probe.ts';
import { routeMtu } from './addressing.ts';
import type { NetworkWays } from './attachable-network.ts';
import type { Underlay } from './network-view.ts';

export interface WaysOfNetwork {
  readonly view: NetworkView;
  readonly nodeId: string;
  readonly underlay: Underlay;
  /** Largest packet of tasks, in bytes. */
  readonly mtu: number;
}

export function waysOf(device: Omit<ProbePlace, 'peers'>, { view, nodeId, underlay, mtu }: WaysOfNetwork): NetworkWays {
  const peers = new Map<string, { readonly index: number; readonly mtu: number }>();
  for (const peer of view.peers.values())
    if (peer.nodeId !== nodeId && peer.index > 0 && underlay.peerAddress(peer) !== undefined)
      peers.set(peer.nodeId, { index: peer.index, mtu: routeMtu(mtu, underlay.peerMtu(peer), underlay) ?? mtu });
  const peerOf = (peerId: string): NetworkPeer | undefined => view.peers.get(peerId);
  return {
    place: { ...device, peers },
    underlay,
    encrypted: view.table.encrypted,
    addressOf: (peerId) => {
      const peer = peerOf(peerId);
      return peer === undefined ? undefined : underlay.peerAddress(peer);
    },
    underlayMtuTo: (peerId) => {
      const peer = peerOf(peerId);
      const theirs = peer === undefined ? undefined : underlay.peerMtu(peer);
      return theirs === undefined || theirs === 0 ? underlay.mtu : Math.min(underlay.mtu, theirs);
    },
  };
}
