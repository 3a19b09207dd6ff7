/** rtnetlink: the largest packet of a device that exists. */
import type { NetlinkRequest } from './netlink.ts';
import { attributeU32 } from './netlink-codec.ts';

const RTM_NEWLINK = 16;
const IFLA_MTU = 4;

export function setLinkMtu(index: number, mtu: number): NetlinkRequest {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  return {
    what: `set the largest packet of device ${index} to ${mtu} bytes`,
    type: RTM_NEWLINK,
    flags: 0,
    parts: [header, attributeU32(IFLA_MTU, mtu)],
  };
}
