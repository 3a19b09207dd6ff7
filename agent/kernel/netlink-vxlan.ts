/** VXLAN devices and their forwarding tables: which node has which device address. */
import { AF_INET, addressBytes, familyOf, linkLayerBytes, linkLayerText } from './ip-address.ts';
import { type NetlinkRequest, type NetlinkSocket, NLM_F_CREATE, NLM_F_REPLACE } from './netlink.ts';
import {
  addressOf,
  attribute,
  attributeU8,
  attributeU16Network,
  attributeU32,
  parseAttributes,
  u32Of,
} from './netlink-codec.ts';
import { addLink, type Link } from './netlink-link.ts';

const AF_BRIDGE = 7;
const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;
const NTF_SELF = 2;
const NUD_PERMANENT = 0x80;
const NDA = { destination: 1, linkLayerAddress: 2 } as const;
const VXLAN = { id: 1, local4: 4, ttl: 5, learning: 7, port: 15, local6: 17 } as const;
const TTL = 64;

export interface VxlanSettings {
  readonly vni: number;
  /** UDP port, here and at the other nodes. */
  readonly port: number;
  /** Address that packets leave with. */
  readonly local: string;
}

export interface NewVxlan extends VxlanSettings {
  readonly name: string;
  readonly index?: number;
  readonly mtu: number;
  readonly linkLayerAddress: string;
  /** Descriptor of the namespace that the device is born in. Its UDP socket stays in that of the netlink socket. */
  readonly namespace?: number;
}

/** Learns nothing from packets and floods nothing: what is not in its forwarding table is dropped. */
export function addVxlan(link: NewVxlan): NetlinkRequest {
  const { vni, port, local, ...rest } = link;
  return addLink({
    ...rest,
    kind: 'vxlan',
    data: [
      attributeU32(VXLAN.id, vni),
      attribute(familyOf(local) === AF_INET ? VXLAN.local4 : VXLAN.local6, addressBytes(local)),
      attributeU16Network(VXLAN.port, port),
      attributeU8(VXLAN.learning, 0),
      attributeU8(VXLAN.ttl, TTL),
    ],
  });
}

/** The settings of a VXLAN device; undefined for other kinds. */
export function vxlanSettings(link: Link): VxlanSettings | undefined {
  if (link.kind !== 'vxlan' || link.kindData === undefined) return undefined;
  const attributes = parseAttributes(link.kindData);
  return {
    vni: u32Of(attributes.get(VXLAN.id)) ?? 0,
    port: attributes.get(VXLAN.port)?.readUInt16BE(0) ?? 0,
    local: addressOf(attributes.get(VXLAN.local4) ?? attributes.get(VXLAN.local6)) ?? '',
  };
}

function header(linkIndex: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt8(AF_BRIDGE, 0);
  bytes.writeInt32LE(linkIndex, 4);
  bytes.writeUInt16LE(NUD_PERMANENT, 8);
  bytes.writeUInt8(NTF_SELF, 10);
  return bytes;
}

/** Frames for the device address go to the node with this address. */
export function replaceForwarding(linkIndex: number, linkLayerAddress: string, node: string): NetlinkRequest {
  return {
    what: `forward ${linkLayerAddress} on device ${linkIndex} to ${node}`,
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    parts: [
      header(linkIndex),
      attribute(NDA.linkLayerAddress, linkLayerBytes(linkLayerAddress)),
      attribute(NDA.destination, addressBytes(node)),
    ],
  };
}

/** None there is no error. */
export function deleteForwarding(linkIndex: number, linkLayerAddress: string): NetlinkRequest {
  return {
    what: `stop forwarding ${linkLayerAddress} on device ${linkIndex}`,
    type: RTM_DELNEIGH,
    flags: 0,
    parts: [header(linkIndex), attribute(NDA.linkLayerAddress, linkLayerBytes(linkLayerAddress))],
    tolerate: ['ENOENT', 'ENODEV'],
  };
}

export interface Forwarding {
  readonly linkIndex: number;
  readonly linkLayerAddress: string;
  readonly node: string;
}

/** Of all VXLAN devices in the socket's namespace. */
export async function listForwarding(socket: NetlinkSocket): Promise<readonly Forwarding[]> {
  const request = Buffer.alloc(12);
  request.writeUInt8(AF_BRIDGE, 0);
  const bodies = await socket.dump('list forwarding tables', RTM_GETNEIGH, [request]);
  return bodies.flatMap((body) => {
    const attributes = parseAttributes(body.subarray(12));
    const linkLayer = attributes.get(NDA.linkLayerAddress);
    const node = addressOf(attributes.get(NDA.destination));
    if (linkLayer === undefined || node === undefined) return [];
    return [{ linkIndex: body.readInt32LE(4), linkLayerAddress: linkLayerText(linkLayer), node }];
  });
}
