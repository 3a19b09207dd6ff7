/** One manager as in the daemon: log on the disk, store, loops, dispatcher, and the cluster's port with mutual TLS. */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { IdentityStore } from '#agent/identity/index.ts';
import { type Authority, issueNodeCertificate } from '#certs/authority.ts';
import { parseCertificates } from '#certs/certificate.ts';
import { generateKeyPair, publicKeyDer } from '#certs/key.ts';
import { decodeKeyFile, privateKeyPem } from '#certs/key-file.ts';
import { newId } from '#common/ids.ts';
import { LIMITS } from '#common/limits.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { systemRandom } from '#common/system/random.ts';
import { Node, NodeState, NodeStatus } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, NodeAvailability, NodeRole, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { changesOfLevel } from '#manager/allocator/index.ts';
import { bootstrapCluster, type ClusterBootstrap } from '#manager/ca/index.ts';
import { DATA_KEY_BYTES } from '#manager/log/index.ts';
import { type PeerTransport, RaftLog } from '#manager/raft/index.ts';
import { ReplicatedStore } from '#manager/replicated-store/index.ts';
import { type ClusterServer, startClusterServer } from '#src/swarmd/cluster-server.ts';
import { ManagerRole } from '#src/swarmd/manager-role.ts';
import { NodeIdentity } from '#src/swarmd/node-identity.ts';
import { FEATURE_LEVEL } from '#src/swarmd/version.ts';
import { type AgentIdentity, describe } from './describe-agent.ts';

const NO_PEERS: PeerTransport = {
  start: () => {},
  setPeers: () => {},
  send: () => {},
  sendSnapshot: () => Promise.reject(new Error('there is nobody to send a snapshot to')),
  peer: () => undefined,
  close: () => Promise.resolve(),
};
const CERTIFICATE_LIFETIME_MS = 24 * 3_600_000;
const HEARTBEAT_MS = 10_000;
const ADDRESS = '127.0.0.1:0';

export class BenchManager {
  readonly role: ManagerRole;
  readonly clusterId: string;
  readonly address: string;
  readonly #server: ClusterServer;
  readonly #authority: Authority;
  readonly #rootPem: string;

  private constructor(role: ManagerRole, server: ClusterServer, bootstrap: ClusterBootstrap) {
    this.role = role;
    this.#server = server;
    this.address = `127.0.0.1:${server.port}`;
    this.clusterId = bootstrap.cluster.id;
    this.#rootPem = bootstrap.identity.rootPem;
    const [certificate] = parseCertificates(bootstrap.identity.rootPem);
    const { privateKey } = decodeKeyFile(bootstrap.cluster.rootCa?.keyPem ?? new Uint8Array(), 'root key');
    if (certificate === undefined) throw new Error('a cluster has a root certificate');
    this.#authority = { certificate, privateKey };
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
      spec: ClusterSpec.create({ dispatcher: { heartbeatPeriodMs: HEARTBEAT_MS } }),
    });
    const dataKey = randomBytes(DATA_KEY_BYTES);
    const logDirectory = join(directory, 'raft');
    await found(bootstrap, logDirectory, dataKey);
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
      dataKey,
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
    const agents: AgentIdentity[] = [];
    for (let number = 0; number < count; number++) {
      const keys = generateKeyPair();
      const nodeId = newId(systemRandom);
      const certificatePem = issueNodeCertificate(this.#authority, {
        identity: { nodeId, clusterId: this.clusterId, role: 'worker' },
        publicKeyDer: publicKeyDer(keys.publicKey),
        nowMs: Date.now(),
        lifetimeMs: CERTIFICATE_LIFETIME_MS,
      });
      const address = `192.0.${number >> 8}.${number & 0xff}`;
      agents.push({
        nodeId,
        address,
        certificatePem,
        privateKeyPem: privateKeyPem(keys.privateKey),
        rootsPem: this.#rootPem,
      });
    }
    for (let from = 0; from < count; from += LIMITS.CHANGES_PER_TRANSACTION)
      await this.role.store.commit(
        agents
          .slice(from, from + LIMITS.CHANGES_PER_TRANSACTION)
          .map((agent) => ({ kind: 'create', table: 'node', object: nodeOf(agent) })),
      );
    return agents;
  }

  async close(): Promise<void> {
    await this.#server.close();
    await this.role.close();
  }
}

/** As it was described before: then its session says nothing new about it to the others. */
function nodeOf(agent: AgentIdentity): Node {
  return Node.create({
    id: agent.nodeId,
    role: NodeRole.WORKER,
    spec: NodeSpec.create({ desiredRole: NodeRole.WORKER, availability: NodeAvailability.ACTIVE }),
    status: NodeStatus.create({ state: NodeState.UNKNOWN }),
    description: describe(agent),
  });
}

function fail(error: Error): void {
  throw error;
}

/** The first objects, in a log of their own, as `swarm init` writes them. */
async function found({ cluster, node }: ClusterBootstrap, directory: string, dataKey: Uint8Array): Promise<void> {
  const log = new RaftLog({
    directory,
    keys: { current: dataKey },
    logger: silentLogger,
    clock: systemClock,
    random: systemRandom,
    transport: NO_PEERS,
    nodeId: node.id,
    address: () => ADDRESS,
    featureLevel: FEATURE_LEVEL,
    origin: { kind: 'found' },
    onRemoved: fail,
  });
  const store = new ReplicatedStore({ log, logger: silentLogger });
  await store.start();
  await store.commit([
    { kind: 'create', table: 'cluster', object: cluster },
    { kind: 'create', table: 'node', object: node },
    ...changesOfLevel(store.view(), FEATURE_LEVEL, systemRandom),
  ]);
  await store.close();
}
