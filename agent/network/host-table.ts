/** What stands in the tables of the host's namespace: keys, elements and names; the text is in host-table-text.ts. */
import { existsSync } from 'node:fs';
import type { AddressPlan } from './address-plan.ts';
import { boundAddress, type Family, familyOfAddress } from './host-ports.ts';
import type { InstanceNames } from './instance.ts';
import type { Ipv6Plan } from './ipv6.ts';
import type { HostPort, NetworkProtocol, PublishedAt } from './task-network.ts';

/** Those that the kernel knows: one that was built or started without IPv6 takes no table of it. */
export const FAMILIES: readonly Family[] = existsSync('/proc/sys/net/ipv6/conf') ? [4, 6] : [4];

/** As nft calls it: there is a table of each, with the same name. */
export function nftFamily(family: Family): 'ip' | 'ip6' {
  return family === 4 ? 'ip' : 'ip6';
}

/** A published port and where it leads. */
export interface PortElement {
  readonly port: HostPort;
  /** The task's address; its family says whose table it is in. */
  readonly address: string;
}

/** What the tables need besides the ports. */
export interface HostTableFrame {
  readonly plan: AddressPlan;
  /** Undefined on a host without IPv6, which has no table of it either. */
  readonly ipv6: Ipv6Plan | undefined;
  /** One bit. */
  readonly mark: number;
  /**
   * By family, where a daemon of this kind turned forwarding on: the host's devices that lead outside, between which
   * nothing is forwarded, as before. Undefined where forwarding was on already.
   */
  readonly guardedDevices: Readonly<Record<Family, readonly string[] | undefined>>;
}

export interface HostTableContents extends HostTableFrame {
  readonly names: InstanceNames;
  readonly elements: readonly PortElement[];
  /** The ports of the routing mesh by family; undefined on a node that has not been told of one. */
  readonly mesh: Readonly<Record<Family, MeshElements>> | undefined;
}

/** What the mesh has in a table, with its elements as nft writes them. */
export interface MeshElements {
  /** Chains are made for up to so many backends. */
  readonly chains: number;
  /** By name of the map: "6 . 8080 : goto n2", "6 . 8080 . 0 : 10.0.0.21 . 80". */
  readonly elements: Readonly<Record<MeshMap, readonly string[]>>;
}

/** Ports of every address and their backends, then those of one address of the host and theirs. */
export const MESH_MAPS = ['mesh', 'mesh_eps', 'mesh_bound', 'mesh_bound_eps'] as const;
export type MeshMap = (typeof MESH_MAPS)[number];

/** Chains are called after how many backends they choose from: "n3", and "b3" for ports of one address of the host. */
export function meshChain(bound: boolean, count: number): string {
  return `${bound ? 'b' : 'n'}${count}`;
}

/** Its presence in a table says that this daemon guards forwarding. */
export const GUARD_SET = 'uplinks';

/** Devices that go on hearing routers because of us: in the table of IPv6, so that the last daemon of a host knows them. */
export const LISTENERS_SET = 'listeners';

/** Ports published on every address of the host, and those published on one. */
export const PORT_MAPS = ['ports', 'bound'] as const;
export type PortMap = (typeof PORT_MAPS)[number];

export function mapOf(port: PublishedAt): PortMap {
  return boundAddress(port) === undefined ? 'ports' : 'bound';
}

/** As numbers, so that what we write and what nft lists read the same. */
export const PROTOCOL_NUMBERS: Readonly<Record<NetworkProtocol, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** Left side of a map element: "6 . 8080" or "192.0.2.7 . 6 . 8080". */
export function elementKey(port: PublishedAt): string {
  const key = `${PROTOCOL_NUMBERS[port.protocol]} . ${port.publishedPort}`;
  const address = boundAddress(port);
  return address === undefined ? key : `${address} . ${key}`;
}

/** Right side: "10.255.0.9 . 80". */
export function elementValue(element: PortElement): string {
  return `${element.address} . ${element.port.targetPort}`;
}

export function elementFamily({ address }: PortElement): Family {
  return familyOfAddress(address);
}

function changesText(
  action: 'add' | 'delete',
  names: InstanceNames,
  elements: readonly PortElement[],
): readonly string[] {
  return elements.map((element) => {
    const value = action === 'add' ? ` : ${elementValue(element)}` : '';
    const map = `${nftFamily(elementFamily(element))} ${names.hostTable} ${mapOf(element.port)}`;
    return `${action} element ${map} { ${elementKey(element.port)}${value} }`;
  });
}

/** One transaction that adds the elements. */
export function addElementsText(names: InstanceNames, elements: readonly PortElement[]): string {
  return changesText('add', names, elements).join('\n');
}

/** One transaction that removes them; it fails as a whole when one is missing. */
export function deleteElementsText(names: InstanceNames, elements: readonly PortElement[]): string {
  return changesText('delete', names, elements).join('\n');
}

/** A map element as libnftables lists it, in the form of `elementKey` and `elementValue`. */
export interface ListedElement {
  readonly map: PortMap;
  readonly key: string;
  readonly value: string;
}

/** The elements of both maps from the JSON of `list table`. */
export function parseElements(listing: readonly unknown[]): readonly ListedElement[] {
  const found: ListedElement[] = [];
  for (const entry of listing) {
    if (typeof entry !== 'object' || entry === null || !('map' in entry)) continue;
    const { name, elem } = entry.map as { readonly name?: string; readonly elem?: readonly unknown[] };
    const map = PORT_MAPS.find((one) => one === name);
    if (map === undefined || elem === undefined) continue;
    for (const pair of elem) {
      if (!Array.isArray(pair)) continue;
      const [key, value] = pair as readonly { readonly concat?: readonly unknown[] }[];
      found.push({ map, key: (key?.concat ?? []).join(' . '), value: (value?.concat ?? []).join(' . ') });
    }
  }
  return found;
}
