/** Devices that share a parent device of the host, each with an address of its own on the parent's network. */
import type { NetlinkRequest } from './netlink.ts';
import { attributeU16, attributeU32 } from './netlink-codec.ts';
import { addLink } from './netlink-link.ts';

const IFLA_MACVLAN_MODE = 1;
const IFLA_IPVLAN_MODE = 1;

/** Who of one parent's devices may talk to whom; see ip-link(8). */
export const MACVLAN_MODES = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
export type MacvlanMode = keyof typeof MACVLAN_MODES;

export const IPVLAN_MODES = { l2: 0, l3: 1, l3s: 2 } as const;
export type IpvlanMode = keyof typeof IPVLAN_MODES;

export interface ChildLink {
  readonly name: string;
  readonly index?: number;
  readonly mtu?: number;
  /** Descriptor of the namespace that the device is born in; the parent is in that of the netlink socket. */
  readonly namespace?: number;
  readonly parentIndex: number;
}

export function addMacvlan(link: ChildLink & { readonly linkLayerAddress: string }, mode: MacvlanMode): NetlinkRequest {
  return addLink({ ...link, kind: 'macvlan', data: [attributeU32(IFLA_MACVLAN_MODE, MACVLAN_MODES[mode])] });
}

/** Has its parent's device address. */
export function addIpvlan(link: ChildLink, mode: IpvlanMode): NetlinkRequest {
  return addLink({ ...link, kind: 'ipvlan', data: [attributeU16(IFLA_IPVLAN_MODE, IPVLAN_MODES[mode])] });
}
