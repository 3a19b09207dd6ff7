/** `swarm init`: the first objects of a new cluster, in a new log, before anything says that this host is a member. */

import type { IdentityStore } from '#agent/identity/index.ts';
import { writeAuthor } from '#common/author.ts';
import type { HostPort } from '#common/host-port.ts';
import type { InitSwarmRequest } from '#gen/swarm/v1/node.ts';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { changesOfLevel } from '#manager/allocator/index.ts';
import type { ClusterBootstrap } from '#manager/ca/index.ts';
import { withUnlockKey } from '#manager/control/index.ts';
import { ReplicatedStore } from '#manager/replicated-store/index.ts';
import type { DaemonParts } from './daemon-parts.ts';
import { firstLog, installFirstIdentity } from './first-member.ts';
import { bootstrapFor } from './founding-root.ts';
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
  const { clock, random, logger } = parts;
  const founded = await bootstrapFor(
    request,
    {
      nowMs: clock.now(),
      random,
      hostname: parts.hostname,
      availability: request.availability || NodeAvailability.ACTIVE,
      featureLevel: FEATURE_LEVEL,
      spec: request.spec,
      defaultAddressPools: request.defaultAddressPools,
      subnetSize: request.subnetSize,
      dataPathPort: request.dataPathPort,
    },
    { clock, logger: logger.with({ part: 'ca' }) },
  );
  const bootstrap = { ...founded, cluster: withUnlockKey(founded.cluster) };
  const { cluster, node } = bootstrap;
  const log = await firstLog(parts, bootstrap, advertise);
  const store = new ReplicatedStore({ log, logger: logger.with({ part: 'store' }), clock, random });
  try {
    await store.start();
    await store.commit(
      [
        { kind: 'create', table: 'cluster', object: cluster },
        { kind: 'create', table: 'node', object: node },
        ...changesOfLevel(store.view(), FEATURE_LEVEL, random),
      ],
      { author: writeAuthor({ kind: 'local', id: node.id, name: parts.hostname, peer: '' }) },
    );
  } finally {
    await store.close();
  }
  await installFirstIdentity(identityStore, bootstrap, { listen, advertise, dataPath: request.dataPathAddress });
  return bootstrap;
}
