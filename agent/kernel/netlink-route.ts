/** rtnetlink: routes. Addresses and prefixes are texts, and say their family; lists are of IPv4 unless said otherwise. */
import { AF_INET, AF_INET6, addressBytes, familyOf, prefixBytes } from './ip-address.ts';
import { type NetlinkRequest, type NetlinkSocket, NLM_F_CREATE, NLM_F_REPLACE } from './netlink.ts';
import { addressOf, attribute, attributeNested, attributeU32, parseAttributes, u32Of } from './netlink-codec.ts';

const RTM = { newRoute: 24, delRoute: 25, getRoute: 26 } as const;
const RT_SCOPE_UNIVERSE = 0;
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
const RT_TABLE_UNSPEC = 0;

export const MAIN_TABLE = 254;

const RTN_UNICAST = 1;
const RTN_LOCAL = 2;
const RTPROT_KERNEL = 2;
const RTPROT_STATIC = 4;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_HOST = 254;
const RT_SCOPE_NOWHERE = 255;
const RTNH_F_ONLINK = 4;

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
