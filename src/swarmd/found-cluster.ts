/** `swarm init`: the first objects of a new cluster, in a new log, before anything says that this host is a member. */
import { rm } from 'node:fs/promises';
import type { IdentityStore } from '#agent/identity/index.ts';
import { formatHostPort, type HostPort } from '#common/host-port.ts';
import type { InitSwarmRequest } from '#gen/swarm/v1/node.ts';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { bootstrapCluster, type ClusterBootstrap } from '#manager/ca/index.ts';
import { type PeerTransport, RaftLog } from '#manager/raft/index.ts';
import { ReplicatedStore } from '#manager/replicated-store/index.ts';
import type { DaemonParts } from './daemon-parts.ts';
import { createDataKey } from './data-key.ts';
import { FEATURE_LEVEL } from './version.ts';

export interface FoundingOptions {
  readonly request: InitSwarmRequest;
  readonly listen: HostPort;
  readonly advertise: HostPort;
}

/** Writes the first objects of a new cluster, then makes this node its first member. */
export async function foundCluster(
  parts: DaemonParts,
  identityStore: IdentityStore,
  { request, listen, advertise }: FoundingOptions,
): Promise<ClusterBootstrap> {
  const { paths, clock, random, logger } = parts;
  // Only what an init that was interrupted has left: a member has an identity.
  await rm(paths.log, { recursive: true, force: true });
  const bootstrap = bootstrapCluster({
    nowMs: clock.now(),
    random,
    hostname: parts.hostname,
    availability: request.availability || NodeAvailability.ACTIVE,
    featureLevel: FEATURE_LEVEL,
    spec: request.spec,
    defaultAddressPools: request.defaultAddressPools,
    subnetSize: request.subnetSize,
    dataPathPort: request.dataPathPort,
  });
  const { cluster, node, identity } = bootstrap;
  const address = formatHostPort(advertise);
  const log = new RaftLog({
    directory: paths.log,
    keys: { current: await createDataKey(paths.dataKey) },
    logger: logger.with({ part: 'log' }),
    clock,
    random,
    transport: NO_PEERS,
    nodeId: node.id,
    address: () => address,
    featureLevel: FEATURE_LEVEL,
    origin: { kind: 'found' },
    onRemoved: () => {},
  });
  const store = new ReplicatedStore({ log, logger: logger.with({ part: 'store' }), clock, random });
  try {
    await store.start();
    await store.commit([
      { kind: 'create', table: 'cluster', object: cluster },
      { kind: 'create', table: 'node', object: node },
    ]);
  } finally {
    await store.close();
  }
  await identityStore.install({
    privateKey: identity.keys.privateKey,
    certificatePem: identity.certificatePem,
    rootPem: identity.rootPem,
    managers: [{ nodeId: node.id, address }],
    addresses: { listen: formatHostPort(listen), advertise: address, dataPath: request.dataPathAddress },
  });
  return bootstrap;
}

/** A log of one member has nobody to talk to. */
export const NO_PEERS: PeerTransport = {
  start: () => {},
  setPeers: () => {},
  send: () => {},
  sendSnapshot: () => Promise.reject(new Error('a log of one member sends no snapshots')),
  peer: () => undefined,
  close: () => Promise.resolve(),
};
