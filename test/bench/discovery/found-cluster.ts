/** A new swarm in a log of its own, and workers that its root has signed: what `swarm init` and `swarm join` would make. */
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
import { NodeAvailability, NodeRole, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { changesOfLevel } from '#manager/allocator/index.ts';
import type { ClusterBootstrap } from '#manager/ca/index.ts';
import { type PeerTransport, RaftLog } from '#manager/raft/index.ts';
import { ReplicatedStore } from '#manager/replicated-store/index.ts';
import type { Change } from '#manager/store/index.ts';
import { FEATURE_LEVEL } from '#src/swarmd/version.ts';
import { type AgentIdentity, describe } from './describe-agent.ts';

export const NO_PEERS: PeerTransport = {
  start: () => {},
  setPeers: () => {},
  send: () => {},
  sendSnapshot: () => Promise.reject(new Error('there is nobody to send a snapshot to')),
  peer: () => undefined,
  close: () => Promise.resolve(),
};
const CERTIFICATE_LIFETIME_MS = 24 * 3_600_000;

function authorityOf({ cluster, identity }: ClusterBootstrap): Authority {
  const [certificate] = parseCertificates(identity.rootPem);
  const { privateKey } = decodeKeyFile(cluster.rootCa?.keyPem ?? new Uint8Array(), 'root key');
  if (certificate === undefined) throw new Error('a cluster has a root certificate');
  return { certificate, privateKey };
}

/** Workers with certificates; see `nodeChanges`. */
export function issueAgents(bootstrap: ClusterBootstrap, count: number): readonly AgentIdentity[] {
  const authority = authorityOf(bootstrap);
  return Array.from({ length: count }, (_, number) => {
    const keys = generateKeyPair();
    const nodeId = newId(systemRandom);
    const certificatePem = issueNodeCertificate(authority, {
      identity: { nodeId, clusterId: bootstrap.cluster.id, role: 'worker' },
      publicKeyDer: publicKeyDer(keys.publicKey),
      nowMs: Date.now(),
      lifetimeMs: CERTIFICATE_LIFETIME_MS,
    });
    return {
      nodeId,
      address: `192.0.${number >> 8}.${number & 0xff}`,
      certificatePem,
      privateKeyPem: privateKeyPem(keys.privateKey),
      rootsPem: bootstrap.identity.rootPem,
    };
  });
}

/** The workers as objects of the store, in transactions. */
export async function commitNodes(store: ReplicatedStore, agents: readonly AgentIdentity[]): Promise<void> {
  const changes: readonly Change[] = agents.map((agent) => ({ kind: 'create', table: 'node', object: nodeOf(agent) }));
  for (let from = 0; from < changes.length; from += LIMITS.CHANGES_PER_TRANSACTION)
    await store.commit(changes.slice(from, from + LIMITS.CHANGES_PER_TRANSACTION));
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

/** The first objects, in a log of their own. */
export async function foundLog(
  { cluster, node }: ClusterBootstrap,
  log: { readonly directory: string; readonly dataKey: Uint8Array; readonly address: string },
  agents: readonly AgentIdentity[] = [],
): Promise<void> {
  const raft = new RaftLog({
    directory: log.directory,
    keys: { current: log.dataKey },
    logger: silentLogger,
    clock: systemClock,
    random: systemRandom,
    transport: NO_PEERS,
    nodeId: node.id,
    address: () => log.address,
    featureLevel: FEATURE_LEVEL,
    origin: { kind: 'found' },
    onRemoved: (error) => {
      throw error;
    },
  });
  const store = new ReplicatedStore({ log: raft, logger: silentLogger });
  await store.start();
  await store.commit([
    { kind: 'create', table: 'cluster', object: cluster },
    { kind: 'create', table: 'node', object: node },
    ...changesOfLevel(store.view(), FEATURE_LEVEL, systemRandom),
  ]);
  await commitNodes(store, agents);
  await store.close();
}
