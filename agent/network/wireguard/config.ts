import { DATA_PATH_PORTS } from '#common/data-path-ports.ts';

export interface WireGuardConfig {
  readonly listenPort: number;
  /** Addresses inside the tunnel: the second half follows from the node's index. A /16 of IPv4, first two numbers. */
  readonly addressPrefix: string;
  /** WireGuard's own header with that of IPv6 around it: what of the underlay's packet is not left for the tunnel's. */
  readonly overheadBytes: number;
  /** A key is used for so long. */
  readonly rotateAfterMs: number;
  /** A new key is announced so long before it is used: longer than any node that is well takes to hear of it. */
  readonly announceMs: number;
  /** Programs that configure the tunnel answer within this, or are broken. */
  readonly programTimeoutMs: number;
  /** A device that has just gone leaves its process, and the socket that it listens on, for a moment: tried so often. */
  readonly makeAttempts: number;
  readonly makeRetryMs: number;
}

export const DEFAULT_WIREGUARD_CONFIG: WireGuardConfig = {
  listenPort: DATA_PATH_PORTS.tunnel,
  // The upper end of the carriers' range: overlay VPNs take addresses of its lower part first.
  addressPrefix: '100.127',
  overheadBytes: 80,
  // Swarm's period for its IPsec keys. The keys that packets are sealed with change every two minutes by themselves.
  rotateAfterMs: 12 * 3_600_000,
  announceMs: 60_000,
  programTimeoutMs: 10_000,
  // Two seconds in all: on a busy machine a process takes some hundred milliseconds to end.
  makeAttempts: 10,
  makeRetryMs: 200,
};
