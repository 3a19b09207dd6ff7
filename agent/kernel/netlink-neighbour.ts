/** rtnetlink: which device address an IP address has. The family is derived from the text; lists are of IPv4 unless said otherwise. */
import { AF_INET, addressBytes, familyOf, linkLayerBytes, linkLayerText } from './ip-address.ts';
import { type NetlinkRequest, type NetlinkSocket, NLM_F_CREATE, NLM_F_REPLACE } from './netlink.ts';
import { addressOf, attribute, parseAttributes } from './netlink-codec.ts';

const RTM = { newNeighbour: 28, delNeighbour: 29, getNeighbour: 30 } as const;
const NDA = { destination: 1, linkLayerAddress: 2 } as const;
const NUD_PERMANENT = 0x80;

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

/** Whether exactly this is written down, for good. */
export async function hasNeighbour(
  socket: NetlinkSocket,
  linkIndex: number,
  address: string,
  linkLayerAddress: string,
): Promise<boolean> {
  const found = await listNeighbours(socket, familyOf(address));
  return found.some(
    (one) =>
      one.permanent &&
      one.linkIndex === linkIndex &&
      one.address === address &&
      one.linkLayerAddress === linkLayerAddress,
  );
}
