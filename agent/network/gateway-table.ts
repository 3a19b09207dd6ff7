/** The filter of the gateway namespace: who may talk to whom over the gateway network. */

/** In a namespace of our own, so the name needs no tag. */
export const GATEWAY_TABLE = 'starling';
/** The gateway's end of the cable to the host. Must not match TASK_LINKS. */
export const GATEWAY_UPLINK = 'host0';
const TASK_LINKS = 'g*';
/** The device to the gateways of other nodes, see mesh-table.ts. */
const MESH_LINK = 'vx';

/** Addresses of tasks that are on internal networks only. */
export const CONFINED_SET = {
  family: 'ip',
  table: GATEWAY_TABLE,
  name: 'confined',
  key: ['ipv4'],
  value: undefined,
} as const;

export interface GatewayTableContents {
  /** The host's end of the cable, where names are answered. */
  readonly hostAddress: string;
  readonly confined: readonly string[];
}

/**
 * Replaces both tables in one transaction. Tasks reach the host's side and the host's side reaches tasks (only what the
 * host's table let through), here or by the mesh on other nodes; tasks do not reach one another. Forged sources never
 * get here: the kernel's reverse path filter drops them, as the only route back to a task's device is its own address.
 * A task that is confined answers, and asks for names, and no more. IPv6 is not routed yet: nothing of it passes.
 */
export function gatewayTableText({ hostAddress, confined }: GatewayTableContents): string {
  const elements = confined.length === 0 ? '' : ` elements = { ${confined.join(', ')} };`;
  return `
add table ip ${GATEWAY_TABLE}
delete table ip ${GATEWAY_TABLE}
table ip ${GATEWAY_TABLE} {
  set ${CONFINED_SET.name} { type ipv4_addr;${elements} }
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "${GATEWAY_UPLINK}" oifname "${TASK_LINKS}" accept
    iifname "${GATEWAY_UPLINK}" oifname "${MESH_LINK}" accept
    iifname "${GATEWAY_UPLINK}" oifname "${GATEWAY_UPLINK}" reject with icmp type host-unreachable
    iifname "${MESH_LINK}" oifname "${TASK_LINKS}" accept
    iifname "${TASK_LINKS}" ip saddr @${CONFINED_SET.name} ip daddr ${hostAddress} meta l4proto { 6, 17 } th dport 53 accept
    iifname "${TASK_LINKS}" ip saddr @${CONFINED_SET.name} reject with icmp type admin-prohibited
    iifname "${TASK_LINKS}" oifname "${GATEWAY_UPLINK}" accept
    iifname "${TASK_LINKS}" reject with icmp type admin-prohibited
  }
  chain input {
    type filter hook input priority 0; policy drop;
    iifname "${MESH_LINK}" drop
    ct state established,related accept
    icmp type echo-request accept
    iifname "${TASK_LINKS}" reject with icmp type port-unreachable
  }
}
add table ip6 ${GATEWAY_TABLE}
delete table ip6 ${GATEWAY_TABLE}
table ip6 ${GATEWAY_TABLE} {
  chain forward { type filter hook forward priority 0; policy drop; }
  chain input { type filter hook input priority 0; policy drop; }
}
`;
}
