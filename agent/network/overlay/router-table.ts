/** The nftables text of a router, and what of it the kernel lists. */
import { chainCount, countChain, ROUTER_TABLE } from './load-balancer.ts';

/** The device to the other nodes. */
export const VXLAN_DEVICE = 'vx';
/** The router's end of a task's cable is this letter and a number. */
export const TASK_DEVICE_LETTER = 'e';

interface Family {
  readonly family: 'ip' | 'ip6';
  readonly address: string;
  readonly gateways: readonly { readonly prefix: string; readonly gateway: string }[];
}

function countRule(family: 'ip' | 'ip6', count: number): string {
  return `dnat to ${family} daddr . numgen random mod ${count} map @eps`;
}

/**
 * Chains by what they are for:
 * - spoof: a packet comes from where its source address is, or not at all. IPv4 has the reverse path filter for this.
 * - pre: a service address becomes that of a backend, on the client's node; other nodes have done it before they send.
 * - post: a task that is its own backend would answer itself past the router: it sees the gateway as the client.
 * - forward: what comes from another node ends here; nodes that disagree about where a task is do not make a loop.
 * - nowhere: who goes on with a connection to an address that nobody has any more learns it at once. Of TCP, since there
 *   the kernel's own word (unreachable) ends no connection that was open. Such a connection was forgotten, so it is new.
 * - input: only tasks of this node talk to the router itself (refusals, echo).
 */
function familyText({ family, address, gateways }: Family): string {
  const spoof = `
  chain spoof {
    type filter hook prerouting priority -300; policy accept;
    iifname != "lo" fib saddr . iif oif missing drop
  }`;
  const hairpin = gateways.map(
    ({ prefix, gateway }) =>
      `    ${family} saddr ${prefix} ${family} saddr . ${family} daddr @hairpin snat to ${gateway}`,
  );
  return `
table ${family} ${ROUTER_TABLE} {
  map vips { type ${address} : verdict; }
  map eps { typeof ${family} daddr . numgen random mod 2 : ${family} daddr; }
  set hairpin { type ${address} . ${address}; }${family === 'ip6' ? spoof : ''}
  chain pre {
    type nat hook prerouting priority -100; policy accept;
    iifname != "${VXLAN_DEVICE}" ${family} daddr vmap @vips
  }
  chain nowhere {
    type filter hook prerouting priority -90; policy accept;
    iifname != "${VXLAN_DEVICE}" tcp flags & syn == 0 ct state new fib daddr oif missing reject with tcp reset
  }
  chain post {
    type nat hook postrouting priority 100; policy accept;
${hairpin.join('\n')}
  }
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname "${VXLAN_DEVICE}" oifname "${VXLAN_DEVICE}" drop
  }
  chain input {
    type filter hook input priority 0; policy accept;
    iifname "${VXLAN_DEVICE}" drop
  }
}
`;
}

export interface TableShape {
  readonly subnets: readonly { readonly family: 4 | 6; readonly prefix: string; readonly gateway: string }[];
}

/** Replaces both tables, their maps empty; elements and count chains come after, in the same transaction or later. */
export function routerTableText({ subnets }: TableShape): string {
  const forget = (family: string): string =>
    `add table ${family} ${ROUTER_TABLE}\ndelete table ${family} ${ROUTER_TABLE}\n`;
  return [
    forget('ip'),
    forget('ip6'),
    familyText({ family: 'ip', address: 'ipv4_addr', gateways: subnets.filter((one) => one.family === 4) }),
    familyText({ family: 'ip6', address: 'ipv6_addr', gateways: subnets.filter((one) => one.family === 6) }),
  ].join('');
}

/** Chains for these counts, in both tables. They must not be there. */
export function countChainsText(counts: Iterable<number>): string {
  const lines: string[] = [];
  for (const count of counts)
    for (const family of ['ip', 'ip6'] as const)
      lines.push(
        `add chain ${family} ${ROUTER_TABLE} ${countChain(count)}`,
        `add rule ${family} ${ROUTER_TABLE} ${countChain(count)} ${countRule(family, count)}`,
      );
  return `${lines.join('\n')}\n`;
}

/** A listing by what stands in it: "ip chain pre" -> its text. */
export type Listing = ReadonlyMap<string, string>;

/** Reads the answer to `list ruleset`. */
export function parseListing(text: string): Listing {
  const parts = new Map<string, string>();
  let table = '';
  let part = '';
  for (const line of text.split('\n')) {
    const opened = /^table (\S+) (\S+) \{/.exec(line);
    const inside = /^\t(map|set|chain) (\S+) \{/.exec(line);
    if (opened !== null) {
      table = `${opened[1]} ${opened[2]}`;
      parts.set(`${table} table`, '');
    } else if (inside !== null) {
      part = `${table} ${inside[1]} ${inside[2]}`;
      parts.set(part, '');
    } else if (line === '\t}') part = '';
    else if (part !== '') parts.set(part, `${parts.get(part) ?? ''}${line.trim()}\n`);
  }
  return parts;
}

/** The counts that have a chain in both tables, as it should be; `undefined` when one is there that should not. */
export function countChains(listing: Listing): ReadonlySet<number> | undefined {
  const seen = new Map<number, number>();
  for (const [part, text] of listing) {
    const [family, , , name = ''] = part.split(' ');
    const count = chainCount(name);
    if (count === undefined || !part.includes(' chain ')) continue;
    if (text.split('\n')[0] !== countRule(family === 'ip6' ? 'ip6' : 'ip', count)) return undefined;
    seen.set(count, (seen.get(count) ?? 0) + 1);
  }
  return new Set(Array.from(seen.keys()).filter((count) => seen.get(count) === 2));
}

/** Whether a listing is that of the tables as loaded, leaving count chains aside. */
export function sameSkeleton(listing: Listing, expected: Listing): boolean {
  const isSkeleton = (part: string): boolean => chainCount(part.split(' ')[3] ?? '') === undefined;
  const parts = [...listing.keys()].filter(isSkeleton);
  return (
    parts.length === [...expected.keys()].filter(isSkeleton).length &&
    parts.every((part) => listing.get(part) === expected.get(part))
  );
}
