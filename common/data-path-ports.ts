/** UDP ports that nodes send packets of networks to one another by. Of the first a swarm can choose another. */
export const DATA_PATH_PORTS = {
  /** VXLAN: the port that is registered for it. */
  plain: 4789,
  /** VXLAN inside the tunnel. A port of its own, so that a packet in the clear meets no device that listens. */
  encrypted: 4790,
  /** WireGuard. */
  tunnel: 51_820,
} as const;

/** UDP ports of VXLAN in a swarm that has chosen this one for the data path; 0: none, and the usual ones hold. */
export function vxlanPorts(chosen: number): { readonly plain: number; readonly encrypted: number } {
  const plain = chosen || DATA_PATH_PORTS.plain;
  // Who chooses the one of encrypted networks has left the usual one free.
  const encrypted = plain === DATA_PATH_PORTS.encrypted ? DATA_PATH_PORTS.plain : DATA_PATH_PORTS.encrypted;
  return { plain, encrypted };
}
