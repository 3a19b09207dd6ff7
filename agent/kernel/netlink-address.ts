/** rtnetlink: addresses of devices. The family is derived from the text; lists are of IPv4 unless said otherwise. */
import { AF_INET, AF_INET6, addressBytes, familyOf, prefixBytes } from './ip-address.ts';
import { type NetlinkRequest, type NetlinkSocket, NLM_F_CREATE, NLM_F_EXCL } from './netlink.ts';
import { addressOf, attribute, attributeU32, parseAttributes } from './netlink-codec.ts';

const RTM = { newAddress: 20, delAddress: 21, getAddress: 22 } as const;
const RT_SCOPE_UNIVERSE = 0;
const IFA = { address: 1, local: 2, flags: 8 } as const;
const IFA_F_NODAD = 0x02;
const IFA_F_NOPREFIXROUTE = 0x200;

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
