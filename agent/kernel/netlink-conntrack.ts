/** ctnetlink: finding and removing connection tracking entries, so that flows do not outlive what they were led to. */
import { assert } from '#common/errors.ts';
import { AF_INET, AF_INET6, addressBytes, familyOf } from './ip-address.ts';
import { type NetlinkRequest, type NetlinkSocket, NLM_F_REQUEST } from './netlink.ts';
import {
  addressOf,
  attribute,
  attributeNested,
  attributeU8,
  attributeU16Network,
  parseAttributes,
} from './netlink-codec.ts';

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_GET = 1;
const IPCTNL_MSG_CT_DELETE = 2;
const NFNETLINK_HEADER_BYTES = 4;

const CTA = { tupleOriginal: 1, tupleReply: 2, filter: 25 } as const;
const CTA_TUPLE = { ip: 1, protocol: 2 } as const;
const CTA_IP = { source4: 1, destination4: 2, source6: 3, destination6: 4 } as const;
const CTA_PROTOCOL = { number: 1, sourcePort: 2, destinationPort: 3 } as const;
const CTA_FILTER = { originalFlags: 1, replyFlags: 2 } as const;
const FLAG = {
  source: 1 << 0,
  destination: 1 << 1,
  protocol: 1 << 3,
  sourcePort: 1 << 4,
  destinationPort: 1 << 5,
} as const;

export const IP_PROTOCOL_UDP = 17;

/** Which flows: every given condition must hold. Addresses are of one family. */
export interface FlowFilter {
  /** AF_INET or AF_INET6; undefined: that of the addresses, else IPv4. */
  readonly family?: number;
  readonly ipProtocol?: number;
  /** What the client sent to: a service's address. */
  readonly originalDestination?: string;
  /** The port that the client sent to; with an `ipProtocol`. */
  readonly originalDestinationPort?: number;
  /** Who answers: the task that the flow was led to. */
  readonly replySource?: string;
  /** The port that is answered from; with an `ipProtocol`. */
  readonly replySourcePort?: number;
}

function tupleParts(
  filter: FlowFilter,
  address: { readonly type: number; readonly text: string } | undefined,
): readonly Buffer[] {
  const parts: Buffer[] = [];
  if (address !== undefined)
    parts.push(attributeNested(CTA_TUPLE.ip, [attribute(address.type, addressBytes(address.text))]));
  const protocol: Buffer[] = [];
  if (filter.ipProtocol !== undefined) protocol.push(attributeU8(CTA_PROTOCOL.number, filter.ipProtocol));
  if (filter.replySourcePort !== undefined)
    protocol.push(attributeU16Network(CTA_PROTOCOL.sourcePort, filter.replySourcePort));
  if (protocol.length > 0) parts.push(attributeNested(CTA_TUPLE.protocol, protocol));
  return parts;
}

function flagsAttribute(type: number, flags: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(flags);
  return attribute(type, bytes);
}

/** What is asked of the original direction. */
function originalParts(
  { ipProtocol, originalDestination, originalDestinationPort }: FlowFilter,
  isIpv4: boolean,
): { readonly parts: readonly Buffer[]; readonly flags: number } {
  const parts: Buffer[] = [];
  let flags = 0;
  if (originalDestination !== undefined) {
    const type = isIpv4 ? CTA_IP.destination4 : CTA_IP.destination6;
    parts.push(attributeNested(CTA_TUPLE.ip, [attribute(type, addressBytes(originalDestination))]));
    flags |= FLAG.destination;
  }
  if (originalDestinationPort !== undefined && ipProtocol !== undefined) {
    const port = attributeU16Network(CTA_PROTOCOL.destinationPort, originalDestinationPort);
    parts.push(attributeNested(CTA_TUPLE.protocol, [attributeU8(CTA_PROTOCOL.number, ipProtocol), port]));
    flags |= FLAG.protocol | FLAG.destinationPort;
  }
  return { parts, flags };
}

function filterParts(filter: FlowFilter): readonly Buffer[] {
  const { originalDestination, replySource } = filter;
  const family = filter.family ?? familyOf(originalDestination ?? replySource ?? '');
  const isIpv4 = family === AF_INET;
  const reply =
    replySource === undefined ? undefined : { type: isIpv4 ? CTA_IP.source4 : CTA_IP.source6, text: replySource };
  const replyFlags =
    (reply === undefined ? 0 : FLAG.source) |
    (filter.ipProtocol === undefined ? 0 : FLAG.protocol) |
    (filter.replySourcePort === undefined ? 0 : FLAG.sourcePort);
  const header: Buffer = Buffer.from([family, 0, 0, 0]);
  const parts: Buffer[] = [header];
  const flags: Buffer[] = [];
  const original = originalParts(filter, isIpv4);
  if (original.flags !== 0) {
    parts.push(attributeNested(CTA.tupleOriginal, original.parts));
    flags.push(flagsAttribute(CTA_FILTER.originalFlags, original.flags));
  }
  if (replyFlags !== 0) {
    parts.push(attributeNested(CTA.tupleReply, tupleParts(filter, reply)));
    flags.push(flagsAttribute(CTA_FILTER.replyFlags, replyFlags));
  }
  return flags.length === 0 ? parts : [...parts, attributeNested(CTA.filter, flags)];
}

/**
 * Forgets flows of one family: what still comes of them is seen as new, and so meets the translation that is there now. None
 * there is no error. The kernel walks its whole table for this, so ask for it rarely. By addresses of IPv6: `forgetAll`.
 */
export function forgetFlows(filter: FlowFilter): NetlinkRequest {
  assert(Object.keys(filter).length > 0, 'somebody says which connections to forget');
  // Kernels to 6.18 and later take an IPv6 address in a filter for its opposite: all but the flows that match.
  assert(!isIpv6(filter) || !hasAddress(filter), 'the kernel is not asked to choose flows by IPv6 addresses');
  return {
    what: `forget connections ${describe(filter)}`,
    type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE,
    flags: NLM_F_REQUEST,
    parts: filterParts(filter),
    tolerate: ['ENOENT'],
  };
}

function hasAddress({ originalDestination, replySource }: FlowFilter): boolean {
  return originalDestination !== undefined || replySource !== undefined;
}

function isIpv6({ family, originalDestination, replySource }: FlowFilter): boolean {
  return (family ?? familyOf(originalDestination ?? replySource ?? '')) === AF_INET6;
}

function describe(filter: FlowFilter): string {
  const { originalDestination, replySource, replySourcePort } = filter;
  if (replySourcePort !== undefined) return `to port ${replySourcePort}`;
  return [
    ...(originalDestination === undefined ? [] : [`to ${originalDestination}`]),
    ...(replySource === undefined ? [] : [`answered by ${replySource}`]),
  ].join(' ');
}

/** Forgets every flow whose answers come from the address, one of IPv4: all connections to a container that is gone. */
export function forgetFlowsTo(address: string): NetlinkRequest {
  return forgetFlows({ replySource: address });
}

/**
 * Forgets every flow that is answered from the port. Flows to the same port of other hosts are forgotten too; they go on
 * undisturbed.
 */
export function forgetFlowsToPort(ipProtocol: number, port: number): NetlinkRequest {
  return forgetFlows({ ipProtocol, replySourcePort: port });
}

export interface Flow {
  readonly ipProtocol: number;
  readonly source: string;
  readonly originalDestination: string;
  readonly replySource: string;
  /** Ports; 0 where the protocol has none. */
  readonly originalDestinationPort: number;
  readonly replySourcePort: number;
}

interface FoundFlow extends Flow {
  /** Of the original direction, as the kernel encodes it: names this flow and no other. */
  readonly tuple: Buffer;
}

/** Whether every condition of the filter holds. */
export function flowMatches(flow: Flow, filter: FlowFilter): boolean {
  return (
    (filter.ipProtocol === undefined || filter.ipProtocol === flow.ipProtocol) &&
    (filter.originalDestination === undefined || filter.originalDestination === flow.originalDestination) &&
    (filter.replySource === undefined || filter.replySource === flow.replySource) &&
    (filter.originalDestinationPort === undefined || filter.originalDestinationPort === flow.originalDestinationPort) &&
    (filter.replySourcePort === undefined || filter.replySourcePort === flow.replySourcePort)
  );
}

interface Tuple {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  readonly ipProtocol: number;
}

function tupleOf(bytes: Buffer | undefined): Tuple {
  const attributes = parseAttributes(bytes ?? Buffer.alloc(0));
  const ip = parseAttributes(attributes.get(CTA_TUPLE.ip) ?? Buffer.alloc(0));
  const protocol = parseAttributes(attributes.get(CTA_TUPLE.protocol) ?? Buffer.alloc(0));
  return {
    source: addressOf(ip.get(CTA_IP.source4) ?? ip.get(CTA_IP.source6)) ?? '',
    destination: addressOf(ip.get(CTA_IP.destination4) ?? ip.get(CTA_IP.destination6)) ?? '',
    ipProtocol: protocol.get(CTA_PROTOCOL.number)?.readUInt8(0) ?? 0,
    sourcePort: protocol.get(CTA_PROTOCOL.sourcePort)?.readUInt16BE(0) ?? 0,
    destinationPort: protocol.get(CTA_PROTOCOL.destinationPort)?.readUInt16BE(0) ?? 0,
  };
}

function parseFlow(body: Buffer): FoundFlow {
  const attributes = parseAttributes(body.subarray(NFNETLINK_HEADER_BYTES));
  const tuple = attributes.get(CTA.tupleOriginal) ?? Buffer.alloc(0);
  const original = tupleOf(tuple);
  const reply = tupleOf(attributes.get(CTA.tupleReply));
  return {
    ipProtocol: original.ipProtocol,
    source: original.source,
    originalDestination: original.destination,
    originalDestinationPort: original.destinationPort,
    replySource: reply.source,
    replySourcePort: reply.sourcePort,
    tuple: Buffer.from(tuple),
  };
}

function findFlows(socket: NetlinkSocket, filter: FlowFilter): Promise<readonly FoundFlow[]> {
  const type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET;
  const asked = isIpv6(filter) ? { family: AF_INET6 } : filter;
  return socket.dumpEach('list connections', type, filterParts(asked), (body) => {
    const flow = parseFlow(body);
    return flowMatches(flow, filter) ? [flow] : [];
  });
}

function forgetFlow(flow: FoundFlow): NetlinkRequest {
  return {
    what: `forget the connection from ${flow.source} to ${flow.originalDestination}`,
    type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE,
    flags: NLM_F_REQUEST,
    parts: [Buffer.from([familyOf(flow.source), 0, 0, 0]), attributeNested(CTA.tupleOriginal, [flow.tuple])],
    tolerate: ['ENOENT'],
  };
}

/** Each filter makes the kernel walk its whole table; with more than so many it is read once instead. */
const FILTERS_MAX = 8;

/** Forgets every flow of the socket's namespace that matches any of the filters. */
export async function forgetAll(socket: NetlinkSocket, filters: readonly FlowFilter[]): Promise<void> {
  for (const family of [AF_INET, AF_INET6]) {
    const ours = filters.filter((filter) => isIpv6(filter) === (family === AF_INET6));
    if (ours.length === 0) continue;
    const byKernel = ours.length <= FILTERS_MAX && (family === AF_INET || !ours.some(hasAddress));
    if (byKernel) await socket.execute(ours.map(forgetFlows));
    else {
      const flows = await findFlows(socket, { family });
      // Thousands of filters would take long for each of the flows: most are ruled out by their addresses.
      const byPort = !ours.every(hasAddress);
      const addresses = new Set(ours.flatMap((one) => [one.originalDestination, one.replySource]));
      const candidates = flows.filter(
        (flow) => byPort || addresses.has(flow.originalDestination) || addresses.has(flow.replySource),
      );
      const matching = candidates.filter((flow) => ours.some((filter) => flowMatches(flow, filter)));
      await socket.execute(matching.map(forgetFlow));
    }
  }
}
