/** Where other nodes send this one's packets: found out from its address, told to managers. */
import { isIP } from 'node:net';
import { AF_INET, AF_INET6, canonicalAddress, familyOf } from '../../kernel/ip-address.ts';
import { NetlinkSocket } from '../../kernel/netlink.ts';
import { listAddresses } from '../../kernel/netlink-address.ts';
import { listLinks } from '../../kernel/netlink-link.ts';

/** Of a network whose device cannot be found: what every link carries. */
const MTU_UNKNOWN = 1500;

export interface DataPathPlace {
  readonly address: string;
  /** Largest packet of the device that has the address, in bytes. */
  readonly mtu: number;
  /** Name of that device; empty when it cannot be found. */
  readonly device: string;
}

/** Undefined for a name, or an address that stands for every one. */
export async function findDataPath(address: string): Promise<DataPathPlace | undefined> {
  if (isIP(address) === 0 || address === '0.0.0.0' || address === '::') return undefined;
  const wanted = canonicalAddress(address);
  const family = familyOf(wanted) === AF_INET ? AF_INET : AF_INET6;
  const socket = NetlinkSocket.open();
  try {
    const found = (await listAddresses(socket, family)).find((one) => one.address === wanted);
    const link = (await listLinks(socket)).find((one) => one.index === found?.linkIndex);
    // Loopback carries more than any VXLAN device may.
    return { address: wanted, mtu: Math.min(link?.mtu ?? MTU_UNKNOWN, 65_000), device: link?.name ?? '' };
  } finally {
    await socket.close();
  }
}
