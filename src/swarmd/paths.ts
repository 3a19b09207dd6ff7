/** Where a daemon keeps things, all below its two directories. */
export interface Paths {
  readonly node: string;
  readonly log: string;
  readonly dataKey: string;
  /** There while a swarm is being forced to go on with this manager alone. */
  readonly forced: string;
  /** There while this host leaves its swarm, and after that until it is in one again. */
  readonly departure: string;
  readonly database: string;
  readonly images: string;
  readonly imagesRun: string;
  readonly runtimeState: string;
  readonly runtimeRun: string;
  readonly networkRun: string;
  /** Of the process that answers names; it outlives the daemon. */
  readonly resolverRun: string;
  /** Private keys of the tunnel between nodes. */
  readonly tunnelKeys: string;
  readonly tunnelSettings: string;
  readonly volumes: string;
  readonly volumesRun: string;
  /** Files of tasks, each task's in a file system of its own in memory. */
  readonly secretsRun: string;
  /** Scheduled saves of the swarm; they stay when the node leaves. */
  readonly snapshots: string;
  /** What was done to the swarm; it stays when the node leaves. */
  readonly audit: string;
  readonly lock: string;
}

export function pathsOf(stateDir: string, runDir: string): Paths {
  return {
    node: `${stateDir}/node`,
    log: `${stateDir}/raft`,
    dataKey: `${stateDir}/raft.key`,
    forced: `${stateDir}/force-new-cluster`,
    departure: `${stateDir}/departure.json`,
    database: `${stateDir}/agent.db`,
    images: `${stateDir}/images`,
    imagesRun: `${runDir}/images`,
    runtimeState: `${stateDir}/tasks`,
    runtimeRun: `${runDir}/tasks`,
    networkRun: `${runDir}/network`,
    resolverRun: `${runDir}/resolver`,
    tunnelKeys: `${stateDir}/wireguard.keys`,
    tunnelSettings: `${runDir}/wireguard.conf`,
    volumes: `${stateDir}/volumes`,
    volumesRun: `${runDir}/volumes`,
    secretsRun: `${runDir}/secrets`,
    snapshots: `${stateDir}/snapshots`,
    audit: `${stateDir}/audit`,
    lock: `${runDir}/swarmd.lock`,
  };
}
