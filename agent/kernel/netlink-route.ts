/**
 * rtnetlink: devices, addresses, routes, neighbours and policy rules. Functions that build requests (for
 * `NetlinkSocket.execute`, many in one batch) and functions that read tables. Addresses and prefixes are texts; the family
 * is derived from them. Functions that list take the family, IPv4 unless said otherwise.
 */
import { AF_INET, AF_INET6, addressBytes, familyOf, linkLayerBytes, linkLayerText, prefixBytes } from './ip-address.ts';
import type { NetlinkRequest, NetlinkSocket } from './netlink.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from './netlink.ts';
import {
  addressOf,
  attribute,
  attributeNested,
  attributeText,
  attributeU8,
  attributeU32,
  parseAttributes,
  textOf,
  u32Of,
} from './netlink-codec.ts';

const RTM = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  newAddress: 20,
  delAddress: 21,
  getAddress: 22,
  newRoute: 24,
  delRoute: 25,
  getRoute: 26,
  newNeighbour: 28,
  delNeighbour: 29,
  getNeighbour: 30,
  newRule: 32,
  delRule: 33,
  getRule: 34,
} as const;

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
const IFA = { address: 1, local: 2, flags: 8 } as const;
const IFA_F_NODAD = 0x02;
const IFA_F_NOPREFIXROUTE = 0x200;
const RTA = {
  destination: 1,
  outInterface: 4,
  gateway: 5,
  priority: 6,
  preferredSource: 7,
  metrics: 8,
  table: 15,
} as const;
const RTAX_MTU = 2;
const LOCAL_TABLE = 255;
const NDA = { destination: 1, linkLayerAddress: 2 } as const;
const FRA = { destination: 1, source: 2, priority: 6, mark: 10, table: 15, mask: 16, ipProtocol: 22 } as const;

const RT_TABLE_UNSPEC = 0;
export const MAIN_TABLE = 254;
const RTN_UNICAST = 1;
const RTN_LOCAL = 2;
const RTPROT_KERNEL = 2;
const RTPROT_STATIC = 4;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_HOST = 254;
const RT_SCOPE_NOWHERE = 255;
const RTNH_F_ONLINK = 4;
const NUD_PERMANENT = 0x80;
const FR_ACT_TO_TABLE = 1;

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

export interface AddressOptions {
  /** Makes it a point-to-point address. IPv4 only. */
  readonly peer?: string;
  /** Leaves out the route to the prefix that the kernel would make of it. */
  readonly noPrefixRoute?: boolean;
}

/** An address with its prefix; usable at once, also IPv6. Having it already is no error. */
export function addAddress(linkIndex: number, prefix: string, options: AddressOptions | string = {}): NetlinkRequest {
  const { peer, noPrefixRoute = false } = typeof options === 'string' ? { peer: options } : options;
  const { bytes, length } = prefixBytes(prefix);
  const family = familyOf(prefix);
  const header = Buffer.alloc(8);
  header.writeUInt8(family, 0);
  header.writeUInt8(peer === undefined ? length : bytes.length * 8, 1);
  header.writeUInt32LE(linkIndex, 4);
  // The network has one owner of each address, the allocator: looking for duplicates would only cost a second.
  const flags = (family === AF_INET6 ? IFA_F_NODAD : 0) | (noPrefixRoute ? IFA_F_NOPREFIXROUTE : 0);
  return {
    what: `add address ${prefix} to device ${linkIndex}`,
    type: RTM.newAddress,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    parts: [
      header,
      attribute(IFA.local, bytes),
      attribute(IFA.address, peer === undefined ? bytes : addressBytes(peer)),
      ...(flags === 0 ? [] : [attributeU32(IFA.flags, flags)]),
    ],
    tolerate: ['EEXIST'],
  };
}

/** None there is no error. */
export function deleteAddress(linkIndex: number, prefix: string): NetlinkRequest {
  const { bytes, length } = prefixBytes(prefix);
  const header = Buffer.alloc(8);
  header.writeUInt8(familyOf(prefix), 0);
  header.writeUInt8(length, 1);
  header.writeUInt32LE(linkIndex, 4);
  return {
    what: `remove address ${prefix} from device ${linkIndex}`,
    type: RTM.delAddress,
    flags: 0,
    parts: [header, attribute(IFA.local, bytes), attribute(IFA.address, bytes)],
    tolerate: ['EADDRNOTAVAIL', 'ENODEV'],
  };
}

export interface RouteRequest {
  /** "10.255.0.0/16", "fd00::/64"; "default" for everything of IPv4, "::/0" of IPv6. */
  readonly destination: string;
  readonly linkIndex: number;
  /** Next hop, taken as directly reachable whatever the addresses say. Undefined: the destination itself is. */
  readonly gateway?: string;
  readonly preferredSource?: string;
  readonly table?: number;
  /** Largest packet on this route, in bytes. */
  readonly mtu?: number;
  /** Makes the destination addresses of this host itself (table 255), without an address on any device. */
  readonly local?: boolean;
}

/** The kernel's default for IPv6 routes; one table can have several routes to a destination, told apart by it. */
const IPV6_PRIORITY = 1024;

function destinationOf(destination: string): { family: number; bytes: Buffer | undefined; length: number } {
  if (destination === 'default') return { family: AF_INET, bytes: undefined, length: 0 };
  const { bytes, length } = prefixBytes(destination);
  return { family: familyOf(destination), bytes: length === 0 ? undefined : bytes, length };
}

function routeScope(route: RouteRequest): number {
  if (route.local === true) return RT_SCOPE_HOST;
  return route.gateway === undefined ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

function routeParts(route: RouteRequest): Buffer[] {
  const { family, bytes, length } = destinationOf(route.destination);
  const local = route.local === true;
  const header = Buffer.alloc(12);
  header.writeUInt8(family, 0);
  header.writeUInt8(length, 1);
  header.writeUInt8(RT_TABLE_UNSPEC, 4);
  header.writeUInt8(RTPROT_STATIC, 5);
  header.writeUInt8(family === AF_INET ? routeScope(route) : RT_SCOPE_UNIVERSE, 6);
  header.writeUInt8(local ? RTN_LOCAL : RTN_UNICAST, 7);
  header.writeUInt32LE(route.gateway === undefined ? 0 : RTNH_F_ONLINK, 8);
  const parts = [
    header,
    attributeU32(RTA.table, route.table ?? (local ? LOCAL_TABLE : MAIN_TABLE)),
    attributeU32(RTA.outInterface, route.linkIndex),
  ];
  if (bytes !== undefined) parts.push(attribute(RTA.destination, bytes));
  if (family === AF_INET6) parts.push(attributeU32(RTA.priority, IPV6_PRIORITY));
  if (route.gateway !== undefined) parts.push(attribute(RTA.gateway, addressBytes(route.gateway)));
  if (route.preferredSource !== undefined)
    parts.push(attribute(RTA.preferredSource, addressBytes(route.preferredSource)));
  if (route.mtu !== undefined) parts.push(attributeNested(RTA.metrics, [attributeU32(RTAX_MTU, route.mtu)]));
  return parts;
}

/** Adds the route or replaces the one to the same destination in the same table. */
export function replaceRoute(route: RouteRequest): NetlinkRequest {
  return {
    what: `set route ${route.destination} on device ${route.linkIndex}`,
    type: RTM.newRoute,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    parts: routeParts(route),
  };
}

/** Removes a route of a table to a destination, whatever its device. None there is no error. */
export function deleteRoute(destination: string, table: number = MAIN_TABLE): NetlinkRequest {
  const { family, bytes, length } = destinationOf(destination);
  const header = Buffer.alloc(12);
  header.writeUInt8(family, 0);
  header.writeUInt8(length, 1);
  header.writeUInt8(RT_SCOPE_NOWHERE, 6);
  return {
    what: `delete route ${destination}`,
    type: RTM.delRoute,
    flags: 0,
    parts: [
      header,
      attributeU32(RTA.table, table),
      ...(bytes === undefined ? [] : [attribute(RTA.destination, bytes)]),
    ],
    // ENOENT: the whole table is missing.
    tolerate: ['ESRCH', 'ENOENT'],
  };
}

function neighbourHeader(linkIndex: number, family: number): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt8(family, 0);
  header.writeInt32LE(linkIndex, 4);
  header.writeUInt16LE(NUD_PERMANENT, 8);
  return header;
}

/** A neighbour entry that never expires and is never asked for. */
export function replaceNeighbour(linkIndex: number, address: string, linkLayerAddress: string): NetlinkRequest {
  return {
    what: `set neighbour ${address} on device ${linkIndex}`,
    type: RTM.newNeighbour,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    parts: [
      neighbourHeader(linkIndex, familyOf(address)),
      attribute(NDA.destination, addressBytes(address)),
      attribute(NDA.linkLayerAddress, linkLayerBytes(linkLayerAddress)),
    ],
  };
}

/** None there is no error. */
export function deleteNeighbour(linkIndex: number, address: string): NetlinkRequest {
  return {
    what: `delete neighbour ${address} on device ${linkIndex}`,
    type: RTM.delNeighbour,
    flags: 0,
    parts: [neighbourHeader(linkIndex, familyOf(address)), attribute(NDA.destination, addressBytes(address))],
    tolerate: ['ENOENT', 'ENODEV', 'ENXIO'],
  };
}

export interface Neighbour {
  readonly linkIndex: number;
  readonly address: string;
  readonly linkLayerAddress: string | undefined;
  /** Written by somebody, not learnt. */
  readonly permanent: boolean;
}

export async function listNeighbours(socket: NetlinkSocket, family: number = AF_INET): Promise<readonly Neighbour[]> {
  const bodies = await socket.dump('list neighbours', RTM.getNeighbour, [neighbourHeader(0, family)]);
  return bodies.flatMap((body) => {
    const attributes = parseAttributes(body.subarray(12));
    const address = addressOf(attributes.get(NDA.destination));
    const linkLayer = attributes.get(NDA.linkLayerAddress);
    if (address === undefined) return [];
    return [
      {
        linkIndex: body.readInt32LE(4),
        address,
        linkLayerAddress: linkLayer === undefined ? undefined : linkLayerText(linkLayer),
        permanent: (body.readUInt16LE(8) & NUD_PERMANENT) !== 0,
      },
    ];
  });
}

/** "Packets that match look up `table`". Every given condition must hold. */
export interface PolicyRule {
  readonly priority: number;
  readonly table: number;
  readonly mark?: { readonly value: number; readonly mask: number };
  readonly destination?: string;
  readonly source?: string;
  readonly ipProtocol?: number;
  /** AF_INET or AF_INET6; undefined: that of the prefixes, else IPv4. */
  readonly family?: number;
}

function ruleParts(rule: PolicyRule): Buffer[] {
  const destination = rule.destination === undefined ? undefined : prefixBytes(rule.destination);
  const source = rule.source === undefined ? undefined : prefixBytes(rule.source);
  const header = Buffer.alloc(12);
  header.writeUInt8(rule.family ?? familyOf(rule.destination ?? rule.source ?? ''), 0);
  header.writeUInt8(destination?.length ?? 0, 1);
  header.writeUInt8(source?.length ?? 0, 2);
  header.writeUInt8(FR_ACT_TO_TABLE, 7);
  const parts = [header, attributeU32(FRA.priority, rule.priority), attributeU32(FRA.table, rule.table)];
  if (destination !== undefined) parts.push(attribute(FRA.destination, destination.bytes));
  if (source !== undefined) parts.push(attribute(FRA.source, source.bytes));
  if (rule.mark !== undefined)
    parts.push(attributeU32(FRA.mark, rule.mark.value), attributeU32(FRA.mask, rule.mark.mask));
  if (rule.ipProtocol !== undefined) parts.push(attributeU8(FRA.ipProtocol, rule.ipProtocol));
  return parts;
}

export function addRule(rule: PolicyRule): NetlinkRequest {
  return {
    what: `add policy rule ${rule.priority} to table ${rule.table}`,
    type: RTM.newRule,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    parts: ruleParts(rule),
    tolerate: ['EEXIST'],
  };
}

export function deleteRule(rule: PolicyRule): NetlinkRequest {
  return {
    what: `delete policy rule ${rule.priority} to table ${rule.table}`,
    type: RTM.delRule,
    flags: 0,
    parts: ruleParts(rule),
    tolerate: ['ENOENT'],
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

export interface LinkAddress {
  readonly linkIndex: number;
  readonly address: string;
  readonly prefixLength: number;
  /** A loopback or link-local one that comes with the device. */
  readonly kernelMade: boolean;
}

export async function listAddresses(socket: NetlinkSocket, family: number = AF_INET): Promise<readonly LinkAddress[]> {
  const header = Buffer.alloc(8);
  header.writeUInt8(family, 0);
  const bodies = await socket.dump('list addresses', RTM.getAddress, [header]);
  return bodies.flatMap((body) => {
    const attributes = parseAttributes(body.subarray(8));
    const address = addressOf(attributes.get(IFA.local) ?? attributes.get(IFA.address));
    if (address === undefined) return [];
    return [
      {
        linkIndex: body.readUInt32LE(4),
        address,
        prefixLength: body.readUInt8(1),
        kernelMade: body.readUInt8(3) !== RT_SCOPE_UNIVERSE,
      },
    ];
  });
}

export interface Route {
  /** "10.0.0.0/8", "fd00::/64"; "default" for everything of IPv4, "::/0" of IPv6. */
  readonly destination: string;
  readonly table: number;
  readonly gateway: string | undefined;
  readonly linkIndex: number | undefined;
  /** A route to an address of this host itself. */
  readonly local: boolean;
  /** Largest packet on this route; undefined: that of the device. */
  readonly mtu: number | undefined;
  readonly preferredSource: string | undefined;
  /** Follows from an address or device, as opposed to one that somebody added. */
  readonly kernelMade: boolean;
}

function parseRoute(body: Buffer): Route {
  const attributes = parseAttributes(body.subarray(12));
  const length = body.readUInt8(1);
  const isIpv4 = body.readUInt8(0) === AF_INET;
  const destination = addressOf(attributes.get(RTA.destination)) ?? (isIpv4 ? '0.0.0.0' : '::');
  const metrics = attributes.get(RTA.metrics);
  return {
    destination: length === 0 && isIpv4 ? 'default' : `${destination}/${length}`,
    table: u32Of(attributes.get(RTA.table)) ?? body.readUInt8(4),
    gateway: addressOf(attributes.get(RTA.gateway)),
    linkIndex: u32Of(attributes.get(RTA.outInterface)),
    local: body.readUInt8(7) === RTN_LOCAL,
    mtu: metrics === undefined ? undefined : u32Of(parseAttributes(metrics).get(RTAX_MTU)),
    preferredSource: addressOf(attributes.get(RTA.preferredSource)),
    kernelMade: body.readUInt8(5) === RTPROT_KERNEL,
  };
}

/** Of every table, without those that the kernel keeps for itself (multicast, anycast, cached). */
export function listRoutes(socket: NetlinkSocket, family: number = AF_INET): Promise<readonly Route[]> {
  const header = Buffer.alloc(12);
  header.writeUInt8(family, 0);
  return socket.dumpEach('list routes', RTM.getRoute, [header], (body) =>
    body.readUInt8(7) <= RTN_LOCAL || body.readUInt8(0) === AF_INET ? [parseRoute(body)] : [],
  );
}

export async function listRules(socket: NetlinkSocket, family: number = AF_INET): Promise<readonly PolicyRule[]> {
  const header = Buffer.alloc(12);
  header.writeUInt8(family, 0);
  const bodies = await socket.dump('list policy rules', RTM.getRule, [header]);
  return bodies.map((body) => {
    const attributes = parseAttributes(body.subarray(12));
    const destination = addressOf(attributes.get(FRA.destination));
    const source = addressOf(attributes.get(FRA.source));
    const mark = u32Of(attributes.get(FRA.mark));
    const protocol = attributes.get(FRA.ipProtocol);
    return {
      priority: u32Of(attributes.get(FRA.priority)) ?? 0,
      table: u32Of(attributes.get(FRA.table)) ?? body.readUInt8(4),
      ...(mark === undefined ? {} : { mark: { value: mark, mask: u32Of(attributes.get(FRA.mask)) ?? 0xffffffff } }),
      ...(destination === undefined ? {} : { destination: `${destination}/${body.readUInt8(1)}` }),
      ...(source === undefined ? {} : { source: `${source}/${body.readUInt8(2)}` }),
      ...(protocol === undefined ? {} : { ipProtocol: protocol.readUInt8(0) }),
      ...(body.readUInt8(0) === AF_INET ? {} : { family: body.readUInt8(0) }),
    };
  });
}
