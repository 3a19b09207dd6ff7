/** rtnetlink: devices. Functions that build requests, for `NetlinkSocket.execute`, many in one batch; and lists. */
import { linkLayerBytes, linkLayerText } from './ip-address.ts';
import { type NetlinkRequest, type NetlinkSocket, NLM_F_CREATE, NLM_F_EXCL } from './netlink.ts';
import {
  attribute,
  attributeNested,
  attributeText,
  attributeU32,
  parseAttributes,
  textOf,
  u32Of,
} from './netlink-codec.ts';

const RTM = { newLink: 16, delLink: 17, getLink: 18 } as const;
const IFF_UP = 1;
const IFLA = {
  address: 1,
  name: 3,
  mtu: 4,
  parent: 5,
  linkInfo: 18,
  netnsFd: 28,
  infoKind: 1,
  infoData: 2,
  vethPeer: 1,
  master: 10,
} as const;

/** struct ifinfomsg. */
function linkHeader(index: number, up: boolean): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt32LE(up ? IFF_UP : 0, 8);
  bytes.writeUInt32LE(up ? IFF_UP : 0, 12);
  return bytes;
}

export interface VethEnd {
  /** At most 15 characters. */
  readonly name: string;
  /**
   * A free index, so that later requests can name the device; undefined lets the kernel choose. The kernel takes that of
   * the far end only when the near end has one too.
   */
  readonly index?: number;
  /** "02:53:0a:ff:00:01"; undefined lets the kernel choose. */
  readonly linkLayerAddress?: string;
  readonly mtu: number;
}

function endParts(end: VethEnd): Buffer[] {
  const parts = [attributeText(IFLA.name, end.name), attributeU32(IFLA.mtu, end.mtu)];
  if (end.linkLayerAddress !== undefined) parts.push(attribute(IFLA.address, linkLayerBytes(end.linkLayerAddress)));
  return parts;
}

/**
 * A veth pair: `near` in the socket's namespace, up; `far` in the one with the given descriptor, down. (The kernel
 * configures the far end before it has joined the two, and a veth without its peer cannot come up.)
 */
export function addVeth(near: VethEnd, far: VethEnd, farNamespace: number): NetlinkRequest {
  const peer = attributeNested(IFLA.vethPeer, [
    linkHeader(far.index ?? 0, false),
    ...endParts(far),
    attributeU32(IFLA.netnsFd, farNamespace),
  ]);
  const info = attributeNested(IFLA.linkInfo, [
    attributeText(IFLA.infoKind, 'veth'),
    attributeNested(IFLA.infoData, [peer]),
  ]);
  return {
    what: `add veth ${near.name} with peer ${far.name}`,
    type: RTM.newLink,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    parts: [linkHeader(near.index ?? 0, true), ...endParts(near), info],
  };
}

export interface NewLink {
  readonly name: string;
  /** A free one; undefined lets the kernel choose. */
  readonly index?: number;
  readonly mtu?: number;
  readonly linkLayerAddress?: string;
  readonly kind: string;
  /** Attributes that the kind of device has. */
  readonly data?: readonly Buffer[];
  /** The device that it works on, in the socket's namespace. */
  readonly parentIndex?: number;
  /** Descriptor of the namespace that it is born in; undefined means that of the socket. */
  readonly namespace?: number;
}

/** A device of any kind, down. What it works on (a parent, a UDP socket) is in the socket's namespace. */
export function addLink(link: NewLink): NetlinkRequest {
  const { name, index = 0, mtu, linkLayerAddress, kind, data, parentIndex, namespace } = link;
  const parts = [linkHeader(index, false), attributeText(IFLA.name, name)];
  if (mtu !== undefined) parts.push(attributeU32(IFLA.mtu, mtu));
  if (linkLayerAddress !== undefined) parts.push(attribute(IFLA.address, linkLayerBytes(linkLayerAddress)));
  if (parentIndex !== undefined) parts.push(attributeU32(IFLA.parent, parentIndex));
  if (namespace !== undefined) parts.push(attributeU32(IFLA.netnsFd, namespace));
  const info = [attributeText(IFLA.infoKind, kind)];
  if (data !== undefined) info.push(attributeNested(IFLA.infoData, data));
  return {
    what: `add ${kind} device ${name}`,
    type: RTM.newLink,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    parts: [...parts, attributeNested(IFLA.linkInfo, info)],
  };
}

/** Up. */
export function addBridge(name: string): NetlinkRequest {
  const { parts, ...request } = addLink({ name, kind: 'bridge' });
  return { ...request, parts: [linkHeader(0, true), ...parts.slice(1)] };
}

/** A device named by its index, or by its name where the index is not known. */
export type LinkReference = number | string;

function linkParts(link: LinkReference, up: boolean): Buffer[] {
  return typeof link === 'number' ? [linkHeader(link, up)] : [linkHeader(0, up), attributeText(IFLA.name, link)];
}

export function setLinkUp(link: LinkReference): NetlinkRequest {
  return { what: `set device ${link} up`, type: RTM.newLink, flags: 0, parts: linkParts(link, true) };
}

export function setLinkDown(link: LinkReference): NetlinkRequest {
  const header = linkHeader(typeof link === 'number' ? link : 0, false);
  header.writeUInt32LE(IFF_UP, 12);
  const parts = typeof link === 'number' ? [header] : [header, attributeText(IFLA.name, link)];
  return { what: `set device ${link} down`, type: RTM.newLink, flags: 0, parts };
}

/** Makes the device a port of a bridge. */
export function setLinkMaster(link: LinkReference, masterIndex: number): NetlinkRequest {
  const parts = typeof link === 'number' ? [linkHeader(link, false)] : linkParts(link, false);
  return {
    what: `attach device ${link} to bridge ${masterIndex}`,
    type: RTM.newLink,
    flags: 0,
    parts: [...parts, attributeU32(IFLA.master, masterIndex)],
  };
}

/** Waits for an RCU grace period, 16 ms: remove a namespace instead where that does it. None there is no error. */
export function deleteLink(link: LinkReference): NetlinkRequest {
  return {
    what: `delete device ${link}`,
    type: RTM.delLink,
    flags: 0,
    parts: linkParts(link, false),
    tolerate: ['ENODEV'],
  };
}

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  readonly mtu: number;
  /** "veth", "bridge", ...; undefined for hardware and loopback. */
  readonly kind: string | undefined;
  readonly loopback: boolean;
  /** "02:53:0a:ff:00:01"; undefined for devices without one. */
  readonly linkLayerAddress: string | undefined;
  /** What the kind of device says of itself, as the kernel encodes it (IFLA_INFO_DATA). */
  readonly kindData: Buffer | undefined;
}

export async function listLinks(socket: NetlinkSocket): Promise<readonly Link[]> {
  const bodies = await socket.dump('list devices', RTM.getLink, [linkHeader(0, false)]);
  return bodies.map((body) => {
    const attributes = parseAttributes(body.subarray(16));
    const info = attributes.get(IFLA.linkInfo);
    const infoAttributes = info === undefined ? undefined : parseAttributes(info);
    const linkLayer = attributes.get(IFLA.address);
    const flags = body.readUInt32LE(8);
    return {
      index: body.readInt32LE(4),
      name: textOf(attributes.get(IFLA.name)) ?? '',
      up: (flags & IFF_UP) !== 0,
      mtu: u32Of(attributes.get(IFLA.mtu)) ?? 0,
      kind: textOf(infoAttributes?.get(IFLA.infoKind)),
      loopback: (flags & 8) !== 0,
      linkLayerAddress: linkLayer?.length === 6 ? linkLayerText(linkLayer) : undefined,
      kindData: infoAttributes?.get(IFLA.infoData),
    };
  });
}

/** The device of that name; undefined when there is none. */
export async function findLink(socket: NetlinkSocket, name: string): Promise<Link | undefined> {
  return (await listLinks(socket)).find((link) => link.name === name);
}
