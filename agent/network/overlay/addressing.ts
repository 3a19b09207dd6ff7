/** Addresses and names that follow from what is known of a network and a node: the same on every node, every time. */
import { BlockList } from 'node:net';
import { SwarmError } from '#common/errors.ts';
import type { NetworkTable } from '#gen/swarm/v1/networks.ts';
import { addressText, canonicalAddress, prefixBytes } from '../../kernel/ip-address.ts';
import type { Underlay } from './network-view.ts';

/** The router's end of every cable, so that no task needs to ask for it. */
export const ROUTER_LINK_ADDRESS = 'ee:ee:ee:ee:ee:ee';
/** What tasks send IPv6 to; nobody has the address, a neighbour entry in the task leads to the router. */
export const ROUTER_NEXT_HOP6 = 'fe80::1';

/** VXLAN, UDP, IP and the inner Ethernet header. */
const VXLAN_OVERHEAD4 = 50;
const VXLAN_OVERHEAD6 = 70;
/** The smallest packet that IPv6 must carry; IPv4 alone is content with less, but nobody runs such links. */
const MTU_MIN = 1280;
const MTU_MAX = 65_535;
const NODE_INDEX_MAX = 65_000;

/** What Docker calls it. */
export const MTU_OPTION = 'com.docker.network.driver.mtu';

function checkIndex(index: number): void {
  if (Number.isInteger(index) && index >= 1 && index <= NODE_INDEX_MAX) return;
  throw new SwarmError({
    code: 'invalid',
    reason: 'bad-field',
    field: 'index',
    message: `${index} is no number of a node: those go from 1 to ${NODE_INDEX_MAX}`,
  });
}

function hex(value: number): string {
  return value.toString(16).padStart(2, '0');
}

/** Device address of a node's VXLAN device, in every network. */
export function nodeLinkAddress(index: number): string {
  checkIndex(index);
  return `02:4e:00:00:${hex(index >> 8)}:${hex(index & 255)}`;
}

/** Next hop for what lies behind a node. */
export function nodeNextHop(index: number, family: 4 | 6): string {
  checkIndex(index);
  return family === 4 ? `169.254.${index >> 8}.${index & 255}` : canonicalAddress(`fe80::2:${index.toString(16)}`);
}

export function isFamily(address: string, family: 4 | 6): boolean {
  return address.includes(':') === (family === 6);
}

export interface Subnet {
  readonly family: 4 | 6;
  /** "10.0.1.0/24". */
  readonly prefix: string;
  readonly length: number;
  /** The router's address on every node. */
  readonly gateway: string;
  contains(address: string): boolean;
}

function subnet(prefix: string, gateway: string): Subnet {
  const { bytes, length } = prefixBytes(prefix);
  const type = bytes.length === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(addressText(bytes), length, type);
  const first = Buffer.from(bytes);
  const last = first.length - 1;
  first[last] = (first[last] ?? 0) | 1;
  return {
    family: bytes.length === 4 ? 4 : 6,
    prefix: `${addressText(bytes)}/${length}`,
    length,
    gateway: gateway === '' ? addressText(first) : canonicalAddress(gateway),
    contains: (address) => isFamily(address, bytes.length === 4 ? 4 : 6) && list.check(address, type),
  };
}

/** Throws `bad-field` for a table with an address that is none. */
export function subnetsOf(table: NetworkTable): readonly Subnet[] {
  try {
    return table.subnets.map((one) => subnet(one.subnet, one.gateway));
  } catch (cause) {
    throw new SwarmError({
      code: 'invalid',
      reason: 'bad-field',
      field: 'subnets',
      message: `network ${table.name}: ${SwarmError.from(cause).message}`,
      cause,
    });
  }
}

/** The subnet that the address belongs to. */
export function subnetOf(subnets: readonly Subnet[], address: string, networkName: string): Subnet {
  const found = subnets.find((one) => one.contains(address));
  if (found !== undefined) return found;
  throw new SwarmError({
    code: 'invalid',
    reason: 'bad-field',
    field: 'addresses',
    message: `${address} is in no subnet of network ${networkName}`,
  });
}

function optionMtu(table: NetworkTable): number | undefined {
  const text = table.driverOptions[MTU_OPTION];
  if (text === undefined) return undefined;
  const mtu = Number(text);
  if (Number.isInteger(mtu) && mtu >= MTU_MIN && mtu <= MTU_MAX) return mtu;
  throw new SwarmError({
    code: 'invalid',
    reason: 'bad-field',
    field: MTU_OPTION,
    message: `network ${table.name}: option ${MTU_OPTION} is ${JSON.stringify(text)}, not ${MTU_MIN} to ${MTU_MAX}`,
  });
}

function overheadOver(address: string): number {
  return isFamily(address, 4) ? VXLAN_OVERHEAD4 : VXLAN_OVERHEAD6;
}

/** Largest packet of tasks on the network: what fits the underlay, unless the network says otherwise. */
export function networkMtu(table: NetworkTable, underlay: Underlay | undefined): number {
  const largest = underlay === undefined ? 1500 : underlay.mtu - overheadOver(underlay.address);
  return optionMtu(table) ?? largest;
}

/** Largest packet to a node whose underlay carries less than ours; undefined where it carries as much. */
export function routeMtu(mtu: number, peerMtu: number | undefined, underlay: Underlay): number | undefined {
  if (peerMtu === undefined || peerMtu === 0) return undefined;
  const largest = peerMtu - overheadOver(underlay.address);
  return largest < mtu ? Math.max(largest, MTU_MIN) : undefined;
}
