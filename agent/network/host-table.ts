/**
 * The nftables table in the host's namespace: published ports, egress, and the wall between tasks and the host.
 *
 * The host has no plain route to the gateway network. A packet gets there only with our mark on it, and only this table
 * sets the mark. So the network fails closed: when somebody flushes the ruleset, published ports lead to our own
 * reserving sockets (which refuse), egress stops, and a task's packets to the host fail the reverse path check.
 */

import type { AddressPlan } from './address-plan.ts';
import type { InstanceNames } from './instance.ts';
import { formatAddress, formatPrefix } from './ipv4.ts';
import type { HostPort, NetworkProtocol, PublishedAt } from './task-network.ts';

/** A published port and where it leads. */
export interface PortElement {
  readonly port: HostPort;
  /** The task's address. */
  readonly address: string;
}

export interface HostTableContents {
  readonly names: InstanceNames;
  readonly plan: AddressPlan;
  /** One bit. */
  readonly mark: number;
  readonly elements: readonly PortElement[];
  /**
   * Where a daemon of this kind turned IPv4 forwarding on: the host's devices that lead outside, between which nothing is
   * forwarded, as before. Undefined where forwarding was on already.
   */
  readonly guardedDevices: readonly string[] | undefined;
  /** The ports of the routing mesh; undefined on a node that has not been told of one. */
  readonly mesh: MeshElements | undefined;
}

/** What the mesh has in the table, with its elements as nft writes them. */
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

/** Ports published on every address of the host, and those published on one. */
export const PORT_MAPS = ['ports', 'bound'] as const;
export type PortMap = (typeof PORT_MAPS)[number];

export function mapOf(port: PublishedAt): PortMap {
  return port.hostIp === undefined ? 'ports' : 'bound';
}

/** As numbers, so that what we write and what nft lists read the same. */
export const PROTOCOL_NUMBERS: Readonly<Record<NetworkProtocol, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** Left side of a map element: "6 . 8080" or "192.0.2.7 . 6 . 8080". */
export function elementKey(port: PublishedAt): string {
  const key = `${PROTOCOL_NUMBERS[port.protocol]} . ${port.publishedPort}`;
  return port.hostIp === undefined ? key : `${port.hostIp} . ${key}`;
}

/** Right side: "10.255.0.9 . 80". */
export function elementValue(element: PortElement): string {
  return `${element.address} . ${element.port.targetPort}`;
}

function elementsText(elements: readonly PortElement[], map: PortMap): string {
  const texts = elements
    .filter((element) => mapOf(element.port) === map)
    .map((element) => `${elementKey(element.port)} : ${elementValue(element)}`);
  return texts.length === 0 ? '' : `elements = { ${texts.join(', ')} };`;
}

function guardSetText(devices: readonly string[]): string {
  const elements = devices.length === 0 ? '' : `elements = { ${devices.map((name) => `"${name}"`).join(', ')} };`;
  return `  set ${GUARD_SET} { type ifname; ${elements} }\n`;
}

/** One transaction that adds the elements. */
export function addElementsText(names: InstanceNames, elements: readonly PortElement[]): string {
  return elements
    .map(
      (element) =>
        `add element ip ${names.hostTable} ${mapOf(element.port)} { ${elementKey(element.port)} : ${elementValue(element)} }`,
    )
    .join('\n');
}

/** One transaction that removes them; it fails as a whole when one is missing. */
export function deleteElementsText(names: InstanceNames, elements: readonly PortElement[]): string {
  return elements
    .map((element) => `delete element ip ${names.hostTable} ${mapOf(element.port)} { ${elementKey(element.port)} }`)
    .join('\n');
}

function meshMapsText({ elements, chains }: MeshElements, setMark: string): string {
  const types: Readonly<Record<MeshMap, string>> = {
    mesh: 'type inet_proto . inet_service : verdict;',
    mesh_eps: 'typeof ip protocol . th dport . numgen random mod 2 : ip daddr . th dport;',
    mesh_bound: 'type ipv4_addr . inet_proto . inet_service : verdict;',
    mesh_bound_eps: 'typeof ip daddr . ip protocol . th dport . numgen random mod 2 : ip daddr . th dport;',
  };
  const lines: string[] = [];
  for (let count = 1; count <= chains; count++)
    for (const bound of [false, true]) {
      const key = `${bound ? 'ip daddr . ' : ''}ip protocol . th dport . numgen random mod ${count}`;
      const map = bound ? 'mesh_bound_eps' : 'mesh_eps';
      lines.push(`  chain ${meshChain(bound, count)} { ${setMark} dnat ip to ${key} map @${map}; }`);
    }
  for (const map of MESH_MAPS) {
    const list = elements[map];
    lines.unshift(`  map ${map} { ${types[map]} ${list.length === 0 ? '' : `elements = { ${list.join(', ')} };`} }`);
  }
  return `${lines.join('\n')}\n`;
}

/** Other nodes must be able to answer: what has an address of this host's own making gets the node's. */
function asNodeText(ingress: AddressPlan['ingress'], link: string): string {
  if (ingress?.nodeAddress === undefined) return '';
  const rules = ingress.subnets.map(
    (subnet) => `
    oifname ${link} ip daddr ${subnet} ip saddr 127.0.0.0/8 snat to ${ingress.nodeAddress}
    iifname ${link} oifname ${link} ip daddr ${subnet} snat to ${ingress.nodeAddress}`,
  );
  return rules.join('');
}

/**
 * Replaces the whole table in one transaction: no packet sees it half made, and established connections keep their
 * translation, which lives in connection tracking.
 */
export function hostTableText(contents: HostTableContents): string {
  const table = contents.names.hostTable;
  return `
add table ip ${table}
delete table ip ${table}
table ip ${table} {
${mapsText(contents)}
${chainsText(contents)}
}
`;
}

function markText(mark: number): string {
  return `meta mark set meta mark or ${mark}`;
}

function mapsText({ elements, guardedDevices, mesh, mark }: HostTableContents): string {
  return `
  map ports { type inet_proto . inet_service : ipv4_addr . inet_service; ${elementsText(elements, 'ports')} }
  map bound { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; ${elementsText(elements, 'bound')} }
${guardedDevices === undefined ? '' : guardSetText(guardedDevices)}
${mesh === undefined ? '' : meshMapsText(mesh, markText(mark))}`;
}

function chainsText({ names, plan, mark, guardedDevices, mesh }: HostTableContents): string {
  const { ingress } = plan;
  const link = `"${names.hostLink}"`;
  const ranges = [formatPrefix(plan.pool), ...(ingress?.subnets ?? [])];
  const tasks = ranges.length === 1 ? ranges[0] : `{ ${ranges.join(', ')} }`;
  const lookUp =
    mesh === undefined
      ? ''
      : `ip daddr . ip protocol . th dport vmap @mesh_bound
    fib daddr type local ip protocol . th dport vmap @mesh`;
  const setMark = markText(mark);
  return `
  chain guard {
    type filter hook prerouting priority -300; policy accept;
    iifname ${link} ip daddr 127.0.0.0/8 drop
    iifname ${link} ip saddr != { ${ranges.join(', ')}, ${formatAddress(plan.gatewayAddress)} } drop
  }
  chain publish {
    type nat hook prerouting priority -100; policy accept;
    ip daddr 127.0.0.0/8 accept
    ip daddr . ip protocol . th dport @bound dnat ip to ip daddr . ip protocol . th dport map @bound
    fib daddr type local dnat ip to ip protocol . th dport map @ports
    ${lookUp}
  }
  chain mark_arriving {
    type filter hook prerouting priority -99; policy accept;
    iifname ${link} ${setMark}
    ip daddr ${tasks} ct status snat,dnat ${setMark}
  }
  chain publish_locally {
    type nat hook output priority -100; policy accept;
    ip daddr . ip protocol . th dport @bound ${setMark} dnat ip to ip daddr . ip protocol . th dport map @bound
    fib daddr type local ip protocol . th dport @ports ${setMark} dnat ip to ip protocol . th dport map @ports
    ${lookUp}
  }
  chain mark_leaving {
    type route hook output priority -150; policy accept;
    ct direction original ct status dnat ct reply ip saddr ${tasks} ${setMark}
    ct direction reply ct original ip saddr ${tasks} ${setMark}
  }
  chain forward {
    type filter hook forward priority 0; policy accept;
    oifname ${link} ct state established,related accept
    oifname ${link} ct status dnat accept
    oifname ${link} drop
    ${guardedDevices === undefined ? '' : `iifname @${GUARD_SET} oifname @${GUARD_SET} ct state new drop`}
  }
  chain input {
    type filter hook input priority 0; policy accept;
    iifname ${link} ct state established,related accept
    iifname ${link} icmp type echo-request accept
    iifname ${link} ip daddr ${formatAddress(plan.hostAddress)} meta l4proto { 6, 17 } th dport 53 accept
    iifname ${link} reject with icmp type port-unreachable
  }
  chain output {
    type filter hook output priority 0; policy accept;
    oifname ${link} icmp type redirect drop
  }
  chain translate {
    type nat hook postrouting priority 100; policy accept;${asNodeText(ingress, link)}
    oifname ${link} ip saddr 127.0.0.0/8 masquerade
    iifname ${link} masquerade
  }`;
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
