import type { PollTimes } from './poll-until.ts';

/** How long a task that has been started may take to listen before it counts as running all the same. */
export interface ListenTimes {
  readonly pollMs: PollTimes;
  /** For the first port that its service publishes. */
  readonly publishedMs: number;
  /** For the rest of those, once there is one. */
  readonly othersMs: number;
  /** For a port that only its image names. */
  readonly exposedMs: number;
}

export interface NetworkConfig {
  /**
   * Pools for the addresses of tasks on this node's gateway network, tried in order; the first that meets no route of
   * the host is taken. Addresses are node-local: every node may use the same pool. Each needs a prefix of /8 to /24.
   */
  readonly gatewayPools: readonly string[];
  /** Namespaces kept ready, so that attaching a task costs no more than publishing its ports. */
  readonly readyNamespaces: number;
  /** Wait before the pool of ready namespaces tries again after a failure. */
  readonly refillRetryMs: number;
  /** How long the device of a removed namespace may stay before reconciliation deletes it. */
  readonly lingerMs: number;
  /** The bit of the packet mark that sends a packet to the gateway network. One bit, unused by others on the host. */
  readonly packetMark: number;
  /** Priority of our policy rules: after the local table (0), before the main one (32766). */
  readonly rulePriority: number;
  /** Largest packet on the gateway network; undefined takes that of the device of the host's default route. */
  readonly mtu: number | undefined;
  /** How long attaching a task waits for the tables of its networks. */
  readonly tablesWaitMs: number;
  /** Wait between two looks at the connections of a task that is drained: the first, and what it grows to. */
  readonly drainPollMs: PollTimes;
  /** A connection that is neither used nor owed an answer for so long is kept for a next request: nobody waits for it. */
  readonly idleAfterMs: number;
  readonly listen: ListenTimes;
  /** How long the mesh waits for its number of VXLAN while the kernel still tears down what had it. */
  readonly vniWaitMs: number;
  /** Wait between two attempts of that. */
  readonly vniRetryMs: number;
  /** From the first foreign change that the kernel tells of to the comparison: one for a whole burst. */
  readonly eventDelayMs: number;
  /** For tasks on a host whose own resolvers are all on its loopback, where no task can reach them. */
  readonly fallbackNameservers: readonly string[];
}

export const DEFAULT_NETWORK_CONFIG: NetworkConfig = {
  // The upper end of 10/8: overlay networks are given out from its lower end (Swarm's default), LANs sit there too.
  // The others are for hosts with a route to all of 10/8.
  gatewayPools: [
    ...[255, 254, 253, 252, 251, 250, 249, 248].map((second) => `10.${second}.0.0/16`),
    '172.30.0.0/16',
    '192.168.192.0/18',
  ],
  // A namespace costs 0.2 MB of kernel memory and 3 ms to make; 16 cover a burst of starts at 100 per second for the
  // time it takes to make the next ones.
  readyNamespaces: 16,
  refillRetryMs: 1000,
  // A namespace goes within tens of milliseconds; one that is there after this is kept alive by somebody.
  lingerMs: 10_000,
  // 0x4000 and 0x8000 are kube-proxy's, the upper half Tailscale's and Calico's, 0x2000 the portmap plugin's.
  packetMark: 0x1000,
  rulePriority: 4096,
  mtu: undefined,
  // Managers send tables before the tasks that need them: what is not there after this is not on its way.
  tablesWaitMs: 15_000,
  // A look costs a walk through the task's sockets: 1 ms for a thousand. An idle task is done at the first.
  drainPollMs: { first: 50, largest: 500 },
  // Whoever uses a connection all the time comes again within this; pools of clients rest for longer.
  idleAfterMs: 1000,
  listen: {
    // Servers listen within tens of milliseconds, some after seconds.
    pollMs: { first: 5, largest: 100 },
    // As long as Docker gives a program to stop. A port that is published in vain costs this with every task.
    publishedMs: 10_000,
    // Servers that listen on several ports bind them together.
    othersMs: 500,
    // Images name ports whatever command they are run with: a worker made of a server's image waits in vain.
    exposedMs: 2000,
  },
  // As for other networks, see overlay/config.ts.
  vniWaitMs: 5_000,
  vniRetryMs: 50,
  eventDelayMs: 100,
  // Docker's choice in the same case.
  fallbackNameservers: ['8.8.8.8', '8.8.4.4'],
};
