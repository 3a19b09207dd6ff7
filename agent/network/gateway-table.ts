/** The filter of the gateway namespace: who may talk to whom over the gateway network. */

/** In a namespace of our own, so the name needs no tag. */
export const GATEWAY_TABLE = 'starling';
/** The gateway's end of the cable to the host. Must not match TASK_LINKS. */
export const GATEWAY_UPLINK = 'host0';
const TASK_LINKS = 'g*';

/**
 * Replaces both tables in one transaction. Tasks reach the host's side and the host's side reaches tasks (only what the
 * host's table let through); tasks do not reach one another. Forged sources never get here: the kernel's reverse path
 * filter drops them, as the only route back to a task's device is its own address. IPv6 is not routed yet: nothing of
 * it passes.
 */
export function gatewayTableText(): string {
  return `
add table ip ${GATEWAY_TABLE}
delete table ip ${GATEWAY_TABLE}
table ip ${GATEWAY_TABLE} {
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "${GATEWAY_UPLINK}" oifname "${TASK_LINKS}" accept
    iifname "${TASK_LINKS}" oifname "${GATEWAY_UPLINK}" accept
    iifname "${TASK_LINKS}" reject with icmp type admin-prohibited
  }
  chain input {
    type filter hook input priority 0; policy drop;
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
