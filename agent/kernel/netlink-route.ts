/**
 * rtnetlink: devices, addresses, routes, neighbours and policy rules. Functions that build requests (for
 * `NetlinkSocket.execute`, many in one batch) and functions that read tables. Addresses are IPv4 in dotted form; the
 * family is derived from the text in one place, so that IPv6 has one place to go.
 */
import { assert } from '#common/errors.ts';
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

const AF_INET = 2;

const RTM = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  newAddress: 20,
  getAddress: 22,
  newRoute: 24,
  delRoute: 25,
  getRoute: 26,
  newNeighbour: 28,
  newRule: 32,
  delRule: 33,
  getRule: 34,
} as const;

const IFF_UP = 1;
const IFLA = {
  address: 1,
  name: 3,
  mtu: 4,
  linkInfo: 18,
  netnsFd: 28,
  infoKind: 1,
  infoData: 2,
  vethPeer: 1,
  master: 10,
} as const;
const IFA = { address: 1, local: 2 } as const;
const RTA = { destination: 1, outInterface: 4, gateway: 5, preferredSource: 7, metrics: 8, table: 15 } as const;
const NDA = { destination: 1, linkLayerAddress: 2 } as const;
const FRA = { destination: 1, priority: 6, mark: 10, table: 15, mask: 16, ipProtocol: 22 } as const;

const RT_TABLE_UNSPEC = 0;
export const MAIN_TABLE = 254;
const RTN_UNICAST = 1;
const RTN_LOCAL = 2;
const RTPROT_STATIC = 4;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;
const RTNH_F_ONLINK = 4;
const NUD_PERMANENT = 0x80;
const FR_ACT_TO_TABLE = 1;

/** The 4 bytes of a dotted address. Throws when it is not one: callers validate what users wrote. */
export function addressBytes(address: string): Buffer {
  const parts = address.split('.').map(Number);
  assert(
    parts.length === 4 && parts.every((part) => Number.isInteger(part) && part >= 0 && part <= 255),
    `${address} is not an IPv4 address`,
  );
  return Buffer.from(parts);
}

function splitPrefix(prefix: string): { readonly bytes: Buffer; readonly length: number } {
  const [address = '', length = '32'] = prefix.split('/');
  return { bytes: addressBytes(address), length: Number(length) };
}

function linkLayerBytes(address: string): Buffer {
  return Buffer.from(address.replaceAll(':', ''), 'hex');
}

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

export function addBridge(name: string): NetlinkRequest {
  return {
    what: `add bridge ${name}`,
    type: RTM.newLink,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    parts: [
      linkHeader(0, true),
      attributeText(IFLA.name, name),
      attributeNested(IFLA.linkInfo, [attributeText(IFLA.infoKind, 'bridge')]),
    ],
  };
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

/** An address with its prefix; with `peer`, a point-to-point one. Having it already is no error. */
export function addAddress(linkIndex: number, prefix: string, peer?: string): NetlinkRequest {
  const { bytes, length } = splitPrefix(prefix);
  const header = Buffer.alloc(8);
  header.writeUInt8(AF_INET, 0);
  header.writeUInt8(peer === undefined ? length : 32, 1);
  header.writeUInt32LE(linkIndex, 4);
  return {
    what: `add address ${prefix} to device ${linkIndex}`,
    type: RTM.newAddress,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    parts: [
      header,
      attribute(IFA.local, bytes),
      attribute(IFA.address, peer === undefined ? bytes : addressBytes(peer)),
    ],
    tolerate: ['EEXIST'],
  };
}

export interface RouteRequest {
  /** "10.255.0.0/16"; "default" for everything. */
  readonly destination: string;
  readonly linkIndex: number;
  /** Next hop, taken as directly reachable whatever the addresses say. Undefined: the destination itself is. */
  readonly gateway?: string;
  readonly preferredSource?: string;
  readonly table?: number;
}

function routeParts(route: RouteRequest): Buffer[] {
  const { bytes, length } =
    route.destination === 'default' ? { bytes: undefined, length: 0 } : splitPrefix(route.destination);
  const header = Buffer.alloc(12);
  header.writeUInt8(AF_INET, 0);
  header.writeUInt8(length, 1);
  header.writeUInt8(RT_TABLE_UNSPEC, 4);
  header.writeUInt8(RTPROT_STATIC, 5);
  header.writeUInt8(route.gateway === undefined ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE, 6);
  header.writeUInt8(RTN_UNICAST, 7);
  header.writeUInt32LE(route.gateway === undefined ? 0 : RTNH_F_ONLINK, 8);
  const parts = [
    header,
    attributeU32(RTA.table, route.table ?? MAIN_TABLE),
    attributeU32(RTA.outInterface, route.linkIndex),
  ];
  if (bytes !== undefined) parts.push(attribute(RTA.destination, bytes));
  if (route.gateway !== undefined) parts.push(attribute(RTA.gateway, addressBytes(route.gateway)));
  if (route.preferredSource !== undefined)
    parts.push(attribute(RTA.preferredSource, addressBytes(route.preferredSource)));
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

/** Removes the routes of a table to a destination, whatever their device. None there is no error. */
export function deleteRoute(destination: string, table: number = MAIN_TABLE): NetlinkRequest {
  const { bytes, length } = splitPrefix(destination);
  const header = Buffer.alloc(12);
  header.writeUInt8(AF_INET, 0);
  header.writeUInt8(length, 1);
  header.writeUInt8(RT_SCOPE_NOWHERE, 6);
  return {
    what: `delete route ${destination}`,
    type: RTM.delRoute,
    flags: 0,
    parts: [header, attributeU32(RTA.table, table), attribute(RTA.destination, bytes)],
    tolerate: ['ESRCH'],
  };
}

/** A neighbour entry that never expires and is never asked for. */
export function replaceNeighbour(linkIndex: number, address: string, linkLayerAddress: string): NetlinkRequest {
  const header = Buffer.alloc(12);
  header.writeUInt8(AF_INET, 0);
  header.writeInt32LE(linkIndex, 4);
  header.writeUInt16LE(NUD_PERMANENT, 8);
  return {
    what: `set neighbour ${address} on device ${linkIndex}`,
    type: RTM.newNeighbour,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    parts: [
      header,
      attribute(NDA.destination, addressBytes(address)),
      attribute(NDA.linkLayerAddress, linkLayerBytes(linkLayerAddress)),
    ],
  };
}

/** "Packets that match look up `table`". Every given condition must hold. */
export interface PolicyRule {
  readonly priority: number;
  readonly table: number;
  readonly mark?: { readonly value: number; readonly mask: number };
  readonly destination?: string;
  readonly ipProtocol?: number;
}

function ruleParts(rule: PolicyRule): Buffer[] {
  const destination = rule.destination === undefined ? undefined : splitPrefix(rule.destination);
  const header = Buffer.alloc(12);
  header.writeUInt8(AF_INET, 0);
  header.writeUInt8(destination?.length ?? 0, 1);
  header.writeUInt8(FR_ACT_TO_TABLE, 7);
  const parts = [header, attributeU32(FRA.priority, rule.priority), attributeU32(FRA.table, rule.table)];
  if (destination !== undefined) parts.push(attribute(FRA.destination, destination.bytes));
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
}

export async function listLinks(socket: NetlinkSocket): Promise<readonly Link[]> {
  const bodies = await socket.dump('list devices', RTM.getLink, [linkHeader(0, false)]);
  return bodies.map((body) => {
    const attributes = parseAttributes(body.subarray(16));
    const info = attributes.get(IFLA.linkInfo);
    const flags = body.readUInt32LE(8);
    return {
      index: body.readInt32LE(4),
      name: textOf(attributes.get(IFLA.name)) ?? '',
      up: (flags & IFF_UP) !== 0,
      mtu: u32Of(attributes.get(IFLA.mtu)) ?? 0,
      kind: info === undefined ? undefined : textOf(parseAttributes(info).get(IFLA.infoKind)),
      loopback: (flags & 8) !== 0,
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
}

export async function listAddresses(socket: NetlinkSocket): Promise<readonly LinkAddress[]> {
  const header = Buffer.alloc(8);
  header.writeUInt8(AF_INET, 0);
  const bodies = await socket.dump('list addresses', RTM.getAddress, [header]);
  return bodies.flatMap((body) => {
    const attributes = parseAttributes(body.subarray(8));
    const address = addressOf(attributes.get(IFA.local) ?? attributes.get(IFA.address));
    return address === undefined ? [] : [{ linkIndex: body.readUInt32LE(4), address, prefixLength: body.readUInt8(1) }];
  });
}

export interface Route {
  /** "10.0.0.0/8"; "default" for everything. */
  readonly destination: string;
  readonly table: number;
  readonly gateway: string | undefined;
  readonly linkIndex: number | undefined;
  /** A route to an address of this host itself. */
  readonly local: boolean;
}

export async function listRoutes(socket: NetlinkSocket): Promise<readonly Route[]> {
  const header = Buffer.alloc(12);
  header.writeUInt8(AF_INET, 0);
  const bodies = await socket.dump('list routes', RTM.getRoute, [header]);
  return bodies.map((body) => {
    const attributes = parseAttributes(body.subarray(12));
    const length = body.readUInt8(1);
    const destination = addressOf(attributes.get(RTA.destination)) ?? '0.0.0.0';
    return {
      destination: length === 0 ? 'default' : `${destination}/${length}`,
      table: u32Of(attributes.get(RTA.table)) ?? body.readUInt8(4),
      gateway: addressOf(attributes.get(RTA.gateway)),
      linkIndex: u32Of(attributes.get(RTA.outInterface)),
      local: body.readUInt8(7) === RTN_LOCAL,
    };
  });
}

export async function listRules(socket: NetlinkSocket): Promise<readonly PolicyRule[]> {
  const header = Buffer.alloc(12);
  header.writeUInt8(AF_INET, 0);
  const bodies = await socket.dump('list policy rules', RTM.getRule, [header]);
  return bodies.map((body) => {
    const attributes = parseAttributes(body.subarray(12));
    const destination = addressOf(attributes.get(FRA.destination));
    const mark = u32Of(attributes.get(FRA.mark));
    const protocol = attributes.get(FRA.ipProtocol);
    return {
      priority: u32Of(attributes.get(FRA.priority)) ?? 0,
      table: u32Of(attributes.get(FRA.table)) ?? body.readUInt8(4),
      ...(mark === undefined ? {} : { mark: { value: mark, mask: u32Of(attributes.get(FRA.mask)) ?? 0xffffffff } }),
      ...(destination === undefined ? {} : { destination: `${destination}/${body.readUInt8(1)}` }),
      ...(protocol === undefined ? {} : { ipProtocol: protocol.readUInt8(0) }),
    };
  });
}
