/**
 * The nftables tables in the host's namespace, one for each family: published ports, egress, and the wall between tasks
 * and the host.
 *
 * The host has no plain route to the gateway network. A packet gets there only with our mark on it, and only these tables
 * set the mark. So the network fails closed: when somebody flushes the ruleset, published ports lead to our own reserving
 * sockets (which refuse), egress stops, and a task's packets to the host fail the reverse path check of IPv4; those of
 * IPv6 get no answer.
 */
import type { Family } from './host-ports.ts';
import {
  elementFamily,
  elementKey,
  elementValue,
  FAMILIES,
  GUARD_SET,
  type HostTableContents,
  LISTENERS_SET,
  MESH_MAPS,
  type MeshElements,
  type MeshMap,
  mapOf,
  meshChain,
  nftFamily,
  type PortElement,
  type PortMap,
} from './host-table.ts';
import { formatAddress, formatPrefix } from './ipv4.ts';

/** What is said in other words for each family. */
interface Words {
  readonly ip: 'ip' | 'ip6';
  readonly address: string;
  /** The protocol inside the packet. */
  readonly protocol: string;
  readonly echoRequest: string;
  readonly portUnreachable: string;
  readonly redirect: string;
}

const WORDS: Readonly<Record<Family, Words>> = {
  4: {
    ip: 'ip',
    address: 'ipv4_addr',
    protocol: 'ip protocol',
    echoRequest: 'icmp type echo-request',
    portUnreachable: 'icmp type port-unreachable',
    redirect: 'icmp type redirect',
  },
  6: {
    ip: 'ip6',
    address: 'ipv6_addr',
    protocol: 'meta l4proto',
    echoRequest: 'icmpv6 type echo-request',
    portUnreachable: 'icmpv6 type port-unreachable',
    redirect: 'icmpv6 type nd-redirect',
  },
};

/** What the chains of one family are about. */
interface Place {
  readonly words: Words;
  /** The host's end of the cable, as a string of nft. */
  readonly link: string;
  /** Matches questions for names to who answers tasks at that end. */
  readonly names: string;
  readonly setMark: string;
  /** Prefixes of tasks. */
  readonly tasks: readonly string[];
  readonly gatewayAddress: string;
  readonly ingress: readonly string[];
  /** An address of this host for what tasks of other nodes are to answer to. */
  readonly nodeAddress: string | undefined;
  readonly guarded: boolean;
  readonly mesh: boolean;
}

/**
 * Replaces the tables in one transaction: no packet sees them half made, and established connections keep their
 * translation, which lives in connection tracking. A host without IPv6 has no table of it.
 */
export function hostTableText(contents: HostTableContents): string {
  const { names, ipv6 } = contents;
  const text = [removeHostTableText(names.hostTable)];
  for (const family of FAMILIES) {
    if (family === 6 && ipv6 === undefined) continue;
    const place = placeOf(contents, family);
    text.push(`table ${nftFamily(family)} ${names.hostTable} {
${mapsText(contents, family, place)}
${chainsText(family, place)}
}
`);
  }
  return text.join('');
}

/** None there is no error. */
export function removeHostTableText(table: string): string {
  return FAMILIES.map(nftFamily)
    .map((family) => `add table ${family} ${table}\ndelete table ${family} ${table}\n`)
    .join('');
}

function placeOf({ names, plan, ipv6, mark, guardedDevices, mesh }: HostTableContents, family: Family): Place {
  const { ingress } = plan;
  const common = {
    words: WORDS[family],
    link: `"${names.hostLink}"`,
    names: `ip daddr ${formatAddress(plan.hostAddress)} meta l4proto { 6, 17 } th dport 53`,
    setMark: `meta mark set meta mark or ${mark}`,
    guarded: guardedDevices[family] !== undefined,
    mesh: mesh !== undefined,
  };
  if (family === 6 && ipv6 !== undefined) {
    const subnets = ingress?.subnets6 ?? [];
    return {
      ...common,
      tasks: [ipv6.prefix, ...subnets],
      gatewayAddress: ipv6.gatewayAddress,
      ingress: subnets,
      nodeAddress: ingress?.nodeAddress6 ?? ipv6.hostAddress,
    };
  }
  const subnets = ingress?.subnets ?? [];
  return {
    ...common,
    tasks: [formatPrefix(plan.pool), ...subnets],
    gatewayAddress: formatAddress(plan.gatewayAddress),
    ingress: subnets,
    nodeAddress: ingress?.nodeAddress,
  };
}

function elementsText(elements: readonly PortElement[], map: PortMap, family: Family): string {
  const texts = elements
    .filter((element) => mapOf(element.port) === map && elementFamily(element) === family)
    .map((element) => `${elementKey(element.port)} : ${elementValue(element)}`);
  return texts.length === 0 ? '' : `elements = { ${texts.join(', ')} };`;
}

function devicesText(set: string, devices: readonly string[]): string {
  const elements = devices.length === 0 ? '' : `elements = { ${devices.map((name) => `"${name}"`).join(', ')} };`;
  return `  set ${set} { type ifname; ${elements} }\n`;
}

function meshMapsText({ elements, chains }: MeshElements, { words, setMark }: Place): string {
  const { ip, address, protocol } = words;
  const types: Readonly<Record<MeshMap, string>> = {
    mesh: 'type inet_proto . inet_service : verdict;',
    mesh_eps: `typeof ${protocol} . th dport . numgen random mod 2 : ${ip} daddr . th dport;`,
    mesh_bound: `type ${address} . inet_proto . inet_service : verdict;`,
    mesh_bound_eps: `typeof ${ip} daddr . ${protocol} . th dport . numgen random mod 2 : ${ip} daddr . th dport;`,
  };
  const lines: string[] = [];
  for (let count = 1; count <= chains; count++)
    for (const bound of [false, true]) {
      const key = `${bound ? `${ip} daddr . ` : ''}${protocol} . th dport . numgen random mod ${count}`;
      const map = bound ? 'mesh_bound_eps' : 'mesh_eps';
      lines.push(`  chain ${meshChain(bound, count)} { ${setMark} dnat ${ip} to ${key} map @${map}; }`);
    }
  for (const map of MESH_MAPS) {
    const list = elements[map];
    lines.unshift(`  map ${map} { ${types[map]} ${list.length === 0 ? '' : `elements = { ${list.join(', ')} };`} }`);
  }
  return `${lines.join('\n')}\n`;
}

function mapsText({ plan, elements, guardedDevices, mesh }: HostTableContents, family: Family, place: Place): string {
  const { address } = place.words;
  const value = `${address} . inet_service`;
  const devices = guardedDevices[family];
  return `
  map ports { type inet_proto . inet_service : ${value}; ${elementsText(elements, 'ports', family)} }
  map bound { type ${address} . inet_proto . inet_service : ${value}; ${elementsText(elements, 'bound', family)} }
${devices === undefined ? '' : devicesText(GUARD_SET, devices)}
${family === 6 ? devicesText(LISTENERS_SET, plan.advertisedDevices) : ''}
${mesh === undefined ? '' : meshMapsText(mesh[family], place)}`;
}

/** Published ports: those of one address first, then those of all, then the mesh's the same way. */
function lookUpText({ words, setMark, mesh }: Place, local: boolean): string {
  const { ip, protocol } = words;
  const key = `${protocol} . th dport`;
  const bound = `${ip} daddr . ${key}`;
  const lines = [
    `${bound} @bound ${local ? `${setMark} ` : ''}dnat ${ip} to ${bound} map @bound`,
    `fib daddr type local ${local ? `${key} @ports ${setMark} ` : ''}dnat ${ip} to ${key} map @ports`,
  ];
  if (mesh) lines.push(`${bound} vmap @mesh_bound`, `fib daddr type local ${key} vmap @mesh`);
  return lines.map((line) => `    ${line}`).join('\n');
}

/**
 * What is not for tasks. Who answers names at the host's end of the cable does, whoever publishes that port. 127.0.0.1 of
 * the host leads to tasks, but nothing that arrives may have it; there is no such way for ::1, where a proxy listens.
 * Clients by link-local addresses could not be answered from behind a router.
 */
function asideText(family: Family, { names }: Place, local: boolean): string {
  if (family === 4) return local ? `${names} accept` : `ip daddr 127.0.0.0/8 accept\n    ${names} accept`;
  return `ip6 daddr ::1 accept
    ip6 saddr fe80::/10 accept`;
}

/** Other nodes must be able to answer: what has an address of this host's own making gets the node's. */
function translateText({ words, link, ingress, nodeAddress }: Place, family: Family): string {
  const lines: string[] = [];
  for (const subnet of nodeAddress === undefined ? [] : ingress) {
    if (family === 4) lines.push(`oifname ${link} ip daddr ${subnet} ip saddr 127.0.0.0/8 snat to ${nodeAddress}`);
    lines.push(`iifname ${link} oifname ${link} ${words.ip} daddr ${subnet} snat to ${nodeAddress}`);
  }
  if (family === 4) lines.push(`oifname ${link} ip saddr 127.0.0.0/8 masquerade`);
  lines.push(`iifname ${link} masquerade`);
  return lines.map((line) => `    ${line}`).join('\n');
}

function chainsText(family: Family, place: Place): string {
  const { words, link, setMark, gatewayAddress, guarded } = place;
  const { ip } = words;
  const loopback = family === 4 ? '127.0.0.0/8' : '::1';
  const tasks = place.tasks.length === 1 ? place.tasks[0] : `{ ${place.tasks.join(', ')} }`;
  return `
  chain guard {
    type filter hook prerouting priority -300; policy accept;
    iifname ${link} ${ip} daddr ${loopback} drop
    iifname ${link} ${ip} saddr != { ${place.tasks.join(', ')}, ${gatewayAddress} } drop
  }
  chain publish {
    type nat hook prerouting priority -100; policy accept;
    ${asideText(family, place, false)}
${lookUpText(place, false)}
  }
  chain mark_arriving {
    type filter hook prerouting priority -99; policy accept;
    iifname ${link} ${setMark}
    ${ip} daddr ${tasks} ct status snat,dnat ${setMark}
  }
  chain publish_locally {
    type nat hook output priority -100; policy accept;
    ${asideText(family, place, true)}
${lookUpText(place, true)}
  }
  chain mark_leaving {
    type route hook output priority -150; policy accept;
    ct direction original ct status dnat ct reply ${ip} saddr ${tasks} ${setMark}
    ct direction reply ct original ${ip} saddr ${tasks} ${setMark}
  }
  chain forward {
    type filter hook forward priority 0; policy accept;
    oifname ${link} ct state established,related accept
    oifname ${link} ct status dnat accept
    oifname ${link} drop
    ${guarded ? `iifname @${GUARD_SET} oifname @${GUARD_SET} ct state new drop` : ''}
  }
  chain input {
    type filter hook input priority 0; policy accept;
    iifname ${link} ct state established,related accept
    iifname ${link} ${words.echoRequest} accept
    ${family === 4 ? `iifname ${link} ${place.names} accept` : ''}
    iifname ${link} reject with ${words.portUnreachable}
  }
  chain output {
    type filter hook output priority 0; policy accept;
    oifname ${link} ${words.redirect} drop
  }
  chain translate {
    type nat hook postrouting priority 100; policy accept;
${translateText(place, family)}
  }`;
}
