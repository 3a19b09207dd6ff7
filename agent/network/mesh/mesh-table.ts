/**
 * The nftables tables of the mesh in the gateway namespace: they remember at which node a connection entered, so that
 * its answers leave there, with the client's address kept all the way.
 */
import { GATEWAY_UPLINK } from '../gateway-table.ts';
import { FAMILIES, nftFamily } from '../host-table.ts';
import type { MeshPeer } from './mesh-model.ts';

export const MESH_TABLE = 'starling_mesh';
/** The device to the other nodes. Must not begin like those of tasks. */
export const MESH_DEVICE = { name: 'vx', index: 900 } as const;

/** Connections that entered at this node's host. */
export const MARK_HERE = 1;
/** With it, a mark is this and the number of the node where the connection entered. */
export const MARK_ELSEWHERE = 0x40000000;

/** IP and TCP without options. */
const HEADER_BYTES = { ip: 40, ip6: 60 } as const;

export interface MeshTableContents {
  /** Number of this node. */
  readonly index: number;
  readonly mtu: number;
  readonly peers: readonly MeshPeer[];
  /** Whether this node speaks IPv6. */
  readonly hasIpv6: boolean;
}

function elements(pairs: readonly string[]): string {
  return pairs.length === 0 ? '' : ` elements = { ${pairs.join(', ')} };`;
}

/**
 * Chains by what they are for:
 * - zone: the same client port may come by several nodes to the same task. Each entry has a connection tracking zone of
 *   its own; the two empty chains of type nat make the kernel choose another source port where answers would look alike.
 * - entry: remembers where a connection entered, and marks its answers with it: policy routing does the rest.
 * - clamp: tasks think of the gateway's packet size, which does not fit the tunnel.
 * - leave: answers go to a next hop that stands for every node; here they get the device address of theirs.
 */
export function meshTableText(contents: MeshTableContents): string {
  const nodes = contents.peers.map((peer) => `${MARK_ELSEWHERE + peer.index} : ${peer.linkLayerAddress}`);
  return `${removeMeshTableText()}${familyText('ip', contents)}${contents.hasIpv6 ? familyText('ip6', contents) : ''}
table netdev ${MESH_TABLE} {
  map nodes { type mark : ether_addr;${elements(nodes)} }
  chain leave {
    type filter hook egress device "${MESH_DEVICE.name}" priority 0; policy accept;
    meta mark != 0 ether daddr set meta mark map @nodes
  }
}
`;
}

function familyText(family: 'ip' | 'ip6', { index, mtu, peers }: MeshTableContents): string {
  const vx = `"${MESH_DEVICE.name}"`;
  const zones = peers.map((peer) => `${peer.linkLayerAddress} : ${peer.index}`);
  const marks = peers.map((peer) => `${peer.linkLayerAddress} : ${MARK_ELSEWHERE + peer.index}`);
  const segment = mtu - HEADER_BYTES[family];
  // nftables has no named maps of zones, and no anonymous ones without elements.
  const zoneRule =
    zones.length === 0 ? '' : `iifname ${vx} ct original zone set ether saddr map { ${zones.join(', ')} }`;
  return `
table ${family} ${MESH_TABLE} {
  map entries { type ether_addr : mark;${elements(marks)} }
  chain zone {
    type filter hook prerouting priority -300; policy accept;
    iifname "${GATEWAY_UPLINK}" ct original zone set ${index}
    ${zoneRule}
  }
  chain entry {
    type filter hook prerouting priority -150; policy accept;
    ct state new iifname "${GATEWAY_UPLINK}" ct mark set ${MARK_HERE}
    ct state new iifname ${vx} ct mark set ether saddr map @entries
    ct direction reply meta mark set ct mark
  }
  chain clamp {
    type filter hook forward priority -150; policy accept;
    iifname ${vx} tcp flags syn tcp option maxseg size set ${segment}
    oifname ${vx} tcp flags syn tcp option maxseg size set ${segment}
  }
  chain arrive { type nat hook prerouting priority -100; policy accept; }
  chain depart { type nat hook postrouting priority 100; policy accept; }
}
`;
}

/** Removes the tables; none there is no error. */
export function removeMeshTableText(): string {
  return [...FAMILIES.map(nftFamily), 'netdev']
    .map((family) => `add table ${family} ${MESH_TABLE}\ndelete table ${family} ${MESH_TABLE}\n`)
    .join('');
}
