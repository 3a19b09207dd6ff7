/** ctnetlink: removing connection tracking entries, so that flows do not outlive what they were translated to. */
import { AF_INET, addressBytes } from './ip-address.ts';
import { type NetlinkRequest, NLM_F_REQUEST } from './netlink.ts';
import { attribute, attributeNested, attributeU8, attributeU16Network, attributeU32Network } from './netlink-codec.ts';

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_DELETE = 2;

const CTA = { tupleReply: 2, filter: 25 } as const;
const CTA_TUPLE = { ip: 1, protocol: 2 } as const;
const CTA_IP_SOURCE_V4 = 1;
const CTA_PROTOCOL = { number: 1, sourcePort: 2 } as const;
const CTA_FILTER_REPLY_FLAGS = 2;
const FLAG_IP_SOURCE = 1 << 0;
const FLAG_PROTOCOL_NUMBER = 1 << 3;
const FLAG_PROTOCOL_SOURCE_PORT = 1 << 4;

function deleteRequest(what: string, flags: number, tuple: readonly Buffer[]): NetlinkRequest {
  const header = Buffer.alloc(4);
  header.writeUInt8(AF_INET, 0);
  const flagBytes = Buffer.alloc(4);
  flagBytes.writeUInt32LE(flags);
  return {
    what,
    type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE,
    flags: NLM_F_REQUEST,
    parts: [
      header,
      attributeNested(CTA.tupleReply, tuple),
      attributeNested(CTA.filter, [attribute(CTA_FILTER_REPLY_FLAGS, flagBytes)]),
    ],
    tolerate: ['ENOENT'],
  };
}

/** Forgets every flow whose answers come from the address: all connections to a container that is gone. */
export function forgetFlowsTo(address: string): NetlinkRequest {
  return deleteRequest(`forget connections to ${address}`, FLAG_IP_SOURCE, [
    attributeNested(CTA_TUPLE.ip, [attributeU32Network(CTA_IP_SOURCE_V4, addressBytes(address).readUInt32BE())]),
  ]);
}

/**
 * Forgets every flow that is answered from the port: clients that keep sending to it are seen as new, and so meet the
 * translation that is there now. Flows to the same port of other hosts are forgotten too; they go on undisturbed.
 */
export function forgetFlowsToPort(ipProtocol: number, port: number): NetlinkRequest {
  return deleteRequest(`forget connections to port ${port}`, FLAG_PROTOCOL_NUMBER | FLAG_PROTOCOL_SOURCE_PORT, [
    attributeNested(CTA_TUPLE.protocol, [
      attributeU8(CTA_PROTOCOL.number, ipProtocol),
      attributeU16Network(CTA_PROTOCOL.sourcePort, port),
    ]),
  ]);
}
