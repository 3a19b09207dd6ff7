/** UDP ports that nodes send packets of networks to one another by. Of the first a swarm can choose another. */
export const DATA_PATH_PORTS = {
  /** VXLAN: the port that is registered for it. */
  plain: 4789,
  /** VXLAN inside the tunnel. A port of its own, so that a packet in the clear meets no device that listens. */
  encrypted: 4790,
  /** WireGuard. */
  tunnel: 51_820,
} as const;
