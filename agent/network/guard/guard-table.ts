/**
 * The nftables table in the host's namespace that decides which VXLAN packets exist. VXLAN believes whatever arrives at
 * its port, so: packets between nodes come from nodes of the cluster, those of encrypted networks through the tunnel
 * only, in both directions, and those of containers never.
 */
import type { InstanceNames } from '../instance.ts';

export interface GuardTableSettings {
  readonly names: InstanceNames;
  /** UDP port of networks that are not encrypted. */
  readonly plainPort: number;
  /** UDP port of encrypted networks. */
  readonly encryptedPort: number;
  /** The tunnel's device; encrypted packets take no other way. */
  readonly tunnelLink: string;
}

/** Who may send. Texts of addresses, without lengths. */
export interface GuardMembers {
  /** Where nodes send VXLAN from, IPv4 and IPv6. */
  readonly nodes: readonly string[];
  /** Addresses of nodes inside the tunnel, IPv4. */
  readonly tunnel: readonly string[];
}

export const GUARD_SETS = ['nodes4', 'nodes6', 'tunnel'] as const;
export type GuardSet = (typeof GUARD_SETS)[number];
export type SetMembers = Readonly<Record<GuardSet, ReadonlySet<string>>>;

/** Not of the prefix that counts daemons. */
export function guardTableName(names: InstanceNames): string {
  return `starlingguard_${names.tag}`;
}

export function membersBySet({ nodes, tunnel }: GuardMembers): SetMembers {
  return {
    nodes4: new Set(nodes.filter((address) => !address.includes(':'))),
    nodes6: new Set(nodes.filter((address) => address.includes(':'))),
    tunnel: new Set(tunnel),
  };
}

function elementsText(members: ReadonlySet<string>): string {
  return members.size === 0 ? '' : `elements = { ${[...members].join(', ')} };`;
}

/**
 * Replaces the whole table in one transaction. What the host keeps is not only what is sent to its own addresses:
 * VXLAN's socket hears broadcasts and multicasts as well. What it forwards to others (unicast) is their affair.
 */
export function guardTableText(settings: GuardTableSettings, members: SetMembers): string {
  const { names, plainPort, encryptedPort, tunnelLink } = settings;
  const table = guardTableName(names);
  const plain = `udp dport ${plainPort}`;
  const encrypted = `udp dport ${encryptedPort}`;
  return `
add table inet ${table}
delete table inet ${table}
table inet ${table} {
  set nodes4 { type ipv4_addr; ${elementsText(members.nodes4)} }
  set nodes6 { type ipv6_addr; ${elementsText(members.nodes6)} }
  set tunnel { type ipv4_addr; ${elementsText(members.tunnel)} }
  chain arriving {
    type filter hook prerouting priority -300; policy accept;
    iifname "${names.hostLink}" udp dport { ${plainPort}, ${encryptedPort} } drop
    ${plain} fib daddr type != unicast ip saddr != @nodes4 drop
    ${plain} fib daddr type != unicast ip6 saddr != @nodes6 drop
    ${encrypted} iifname != "${tunnelLink}" drop
    ${encrypted} ip saddr != @tunnel drop
    ${encrypted} meta nfproto ipv6 drop
  }
  chain leaving {
    type filter hook output priority 0; policy accept;
    ${encrypted} oifname != "${tunnelLink}" drop
  }
}
`;
}

/** One transaction that makes the sets of `from` those of `to`; empty when they are the same. */
export function memberChangesText(names: InstanceNames, from: SetMembers, to: SetMembers): string {
  const table = guardTableName(names);
  const lines: string[] = [];
  for (const set of GUARD_SETS) {
    const gone = [...from[set]].filter((one) => !to[set].has(one));
    const come = [...to[set]].filter((one) => !from[set].has(one));
    if (gone.length > 0) lines.push(`delete element inet ${table} ${set} { ${gone.join(', ')} }`);
    if (come.length > 0) lines.push(`add element inet ${table} ${set} { ${come.join(', ')} }`);
  }
  return lines.join('\n');
}
