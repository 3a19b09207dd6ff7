/** The filter of the gateway namespace: who may talk to whom over the gateway network. */
import type { ElementSet } from '../kernel/nftables-elements.ts';
import type { Family } from './host-ports.ts';

/** In a namespace of our own, so the name needs no tag. */
export const GATEWAY_TABLE = 'starling';
/** The gateway's end of the cable to the host. Must not match TASK_LINKS. */
export const GATEWAY_UPLINK = 'host0';
const TASK_LINKS = 'g*';
/** The device to the gateways of other nodes, see mesh-table.ts. */
const MESH_LINK = 'vx';

/** Addresses of tasks that are on internal networks only. */
export const CONFINED_SETS: Readonly<Record<Family, ElementSet>> = {
  4: { family: 'ip', table: GATEWAY_TABLE, name: 'confined', key: ['ipv4'], value: undefined },
  6: { family: 'ip6', table: GATEWAY_TABLE, name: 'confined', key: ['ipv6'], value: undefined },
};

export interface GatewayTableContents {
  /** The host's end of the cable, where names are answered. */
  readonly hostAddress: string;
  readonly confined: readonly string[];
}

interface FamilyText {
  readonly family: 'ip' | 'ip6';
  readonly address: 'ipv4_addr' | 'ipv6_addr';
  readonly icmp: 'icmp' | 'icmpv6';
  readonly unreachable: string;
  readonly confined: readonly string[];
  /** What comes before all else. */
  readonly first: string;
  /** What the confined may send out. */
  readonly names: string;
}

function familyText({ family, address, icmp, unreachable, confined, first, names }: FamilyText): string {
  // The kernel hears of a refusal by ICMPv6 too late for a connection that has just begun, and asks again after a second.
  const refuse = (match: string, type: string): string => {
    const reset = family === 'ip6' ? `${match} meta l4proto 6 reject with tcp reset\n    ` : '';
    return `${reset}${match} reject with ${icmp} type ${type}`;
  };
  const elements = confined.length === 0 ? '' : ` elements = { ${confined.join(', ')} };`;
  const { name } = CONFINED_SETS[4];
  return `
add table ${family} ${GATEWAY_TABLE}
delete table ${family} ${GATEWAY_TABLE}
table ${family} ${GATEWAY_TABLE} {
  set ${name} { type ${address};${elements} }
${first}
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "${GATEWAY_UPLINK}" oifname "${TASK_LINKS}" accept
    iifname "${GATEWAY_UPLINK}" oifname "${MESH_LINK}" accept
    iifname "${GATEWAY_UPLINK}" oifname "${GATEWAY_UPLINK}" reject with ${icmp} type ${unreachable}
    iifname "${MESH_LINK}" oifname "${TASK_LINKS}" accept
    ${names}
    ${refuse(`iifname "${TASK_LINKS}" ${family} saddr @${name}`, 'admin-prohibited')}
    iifname "${TASK_LINKS}" oifname "${GATEWAY_UPLINK}" accept
    ${refuse(`iifname "${TASK_LINKS}"`, 'admin-prohibited')}
  }
  chain input {
    type filter hook input priority 0; policy drop;
    iifname "${MESH_LINK}" drop
    ct state established,related accept
    ${icmp} type echo-request accept
    ${refuse(`iifname "${TASK_LINKS}"`, 'port-unreachable')}
  }
}
`;
}

/**
 * Replaces both tables in one transaction. Tasks reach the host's side and the host's side reaches tasks (only what the
 * host's table let through), here or by the mesh on other nodes; tasks do not reach one another. Forged sources never
 * get this far: of IPv4 the kernel's reverse path filter drops them, as the only route back to a task's device is its own
 * address; of IPv6, which has no such filter, the chain `spoof` does the same. A task that is confined answers, and asks
 * for names, and no more. On a node without IPv6 nothing of it arrives.
 */
export function gatewayTableText({ hostAddress, confined }: GatewayTableContents): string {
  const { name } = CONFINED_SETS[4];
  const isIpv6 = (address: string): boolean => address.includes(':');
  return `${familyText({
    family: 'ip',
    address: 'ipv4_addr',
    icmp: 'icmp',
    unreachable: 'host-unreachable',
    confined: confined.filter((one) => !isIpv6(one)),
    first: '',
    names: `iifname "${TASK_LINKS}" ip saddr @${name} ip daddr ${hostAddress} meta l4proto { 6, 17 } th dport 53 accept`,
  })}${familyText({
    family: 'ip6',
    address: 'ipv6_addr',
    icmp: 'icmpv6',
    unreachable: 'addr-unreachable',
    confined: confined.filter(isIpv6),
    first: `  chain spoof {
    type filter hook prerouting priority -300; policy accept;
    iifname "${TASK_LINKS}" fib saddr . iif oif missing drop
  }`,
    names: '',
  })}`;
}
