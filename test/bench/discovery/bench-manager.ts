/** One manager as in the daemon: log on the disk, store, loops, dispatcher, and the cluster's port with mutual TLS. */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { IdentityStore } from '#agent/identity/index.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { systemRandom } from '#common/system/random.ts';
import { ClusterSpec, NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { bootstrapCluster, type ClusterBootstrap } from '#manager/ca/index.ts';
import { DATA_KEY_BYTES } from '#manager/log/index.ts';
import { type ClusterServer, startClusterServer } from '#src/swarmd/cluster-server.ts';
import { ManagerRole } from '#src/swarmd/manager-role.ts';
import { NodeIdentity } from '#src/swarmd/node-identity.ts';
import { FEATURE_LEVEL } from '#src/swarmd/version.ts';
import type { AgentIdentity } from './describe-agent.ts';
import { commitNodes, foundLog, issueAgents, NO_PEERS } from './found-cluster.ts';

const HEARTBEAT_MS = 10_000;
const ADDRESS = '127.0.0.1:0';

export class BenchManager {
  readonly role: ManagerRole;
  readonly clusterId: string;
  readonly address: string;
  readonly #server: ClusterServer;
  readonly #bootstrap: ClusterBootstrap;

  private constructor(role: ManagerRole, server: ClusterServer, bootstrap: ClusterBootstrap) {
    this.role = role;
    this.#server = server;
    this.address = `127.0.0.1:${server.port}`;
    this.clusterId = bootstrap.cluster.id;
    this.#bootstrap = bootstrap;
  }

  static async start(directory: string): Promise<BenchManager> {
    await mkdir(directory, { mode: 0o700 });
    const bootstrap = bootstrapCluster({
      nowMs: Date.now(),
      random: systemRandom,
      hostname: 'manager',
      // No task may come here: this node has no agent.
      availability: NodeAvailability.DRAIN,
      featureLevel: FEATURE_LEVEL,
      // A thousand agents on one machine have better things to do here.
      spec: ClusterSpec.create({ dispatcher: { heartbeatPeriodMs: HEARTBEAT_MS, replaceAfterMs: undefined } }),
    });
    const dataKey = randomBytes(DATA_KEY_BYTES);
    const logDirectory = join(directory, 'raft');
    await foundLog(bootstrap, { directory: logDirectory, dataKey, address: ADDRESS });
    const identities = new IdentityStore(directory);
    const { node, identity: first } = bootstrap;
    await identities.install({
      privateKey: first.keys.privateKey,
      certificatePem: first.certificatePem,
      rootPem: first.rootPem,
      managers: [{ nodeId: node.id, address: ADDRESS }],
      addresses: { listen: ADDRESS, advertise: ADDRESS, dataPath: '' },
    });
    const loaded = await identities.load(Date.now());
    if (loaded === undefined) throw new Error('what was installed can be loaded');
    const identity = new NodeIdentity(loaded);
    const role = new ManagerRole({
      logDirectory,
      snapshotDirectory: join(directory, 'snapshots'),
      auditDirectory: join(directory, 'audit'),
      keys: { current: dataKey },
      identity,
      origin: { kind: 'resume' },
      transport: NO_PEERS,
      images: { resolve: () => Promise.resolve(undefined) },
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      onFailure: fail,
      onRemoved: fail,
    });
    await role.start();
    const server = await startClusterServer({
      identity,
      manager: () => role,
      problem: () => undefined,
      logger: silentLogger,
    });
    return new BenchManager(role, server, bootstrap);
  }

  /** New workers, with certificates. */
  async addNodes(count: number): Promise<readonly AgentIdentity[]> {
    const agents = issueAgents(this.#bootstrap, count);
    await commitNodes(this.role.store, agents);
    return agents;
  }

  async close(): Promise<void> {
    await this.#server.close();
    await this.role.close();
  }
}

function fail(error: Error): void {
  throw error;
}
