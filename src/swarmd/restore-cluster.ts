/**
 * `swarm snapshot restore`: a swarm begins again from a saved snapshot, with this host as its only manager. All of the
 * file is verified before anything is written; the identity comes last, so what breaks in between leaves a host that is
 * in no swarm.
 *
 *   verify -> a new log whose first snapshot is the restored state -> identity
 */
import type { IdentityStore } from '#agent/identity/index.ts';
import { SwarmError } from '#common/errors.ts';
import { formatHostPort } from '#common/host-port.ts';
import { randomInt } from '#common/random.ts';
import { type RestoreOptions, RestoreSwarmResponse } from '#gen/swarm/v1/snapshot.ts';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { foundLog, openSnapshot, parseSnapshotKey, restoredState, type SavedSnapshot } from '#manager/backup/index.ts';
import { managerOfRestoredBy } from '#manager/ca/index.ts';
import type { DaemonParts } from './daemon-parts.ts';
import { type FirstAddresses, firstLog, installFirstIdentity } from './first-member.ts';
import { strangersSigner } from './founding-root.ts';
import { FEATURE_LEVEL } from './version.ts';

/** Verifying gives way to the event loop after this long. */
const SLICE_MS = 5;

/**
 * Reads all of the file.
 * @throws SwarmError that names the file for one that is damaged, foreign, of a newer release or under another key
 */
export async function readSaved(
  { clock }: Pick<DaemonParts, 'clock'>,
  { key, fileName }: RestoreOptions,
  file: AsyncIterable<Uint8Array>,
): Promise<SavedSnapshot> {
  const name = fileName === '' ? 'the snapshot' : fileName;
  const saved = await openSnapshot(file, parseSnapshotKey(key), name, { clock, sliceMs: SLICE_MS });
  const needed = saved.cluster.featureLevel;
  if (needed <= FEATURE_LEVEL) return saved;
  throw new SwarmError({
    code: 'precondition',
    reason: 'feature-level',
    message: `${name} is of a swarm at feature level ${needed}, this release understands ${FEATURE_LEVEL}`,
    hint: 'restore it with the release that saved it, or a newer one',
  });
}

/** Writes the restored state to a new log, then makes this host its manager. */
export async function restoreCluster(
  parts: DaemonParts,
  identityStore: IdentityStore,
  { cluster, state: savedState }: SavedSnapshot,
  addresses: FirstAddresses,
): Promise<RestoreSwarmResponse> {
  const { clock, random, logger } = parts;
  const signer = strangersSigner({ clock, logger: logger.with({ part: 'ca' }) });
  const manager = await managerOfRestoredBy(signer, cluster, {
    nowMs: clock.now(),
    hostname: parts.hostname,
    availability: NodeAvailability.ACTIVE,
  });
  const { state, formerManagers } = restoredState(savedState, {
    node: manager.node,
    nowMs: clock.now(),
    transactionId: 1 + randomInt(random, 2 ** 48 - 1),
  });
  await foundLog(await firstLog(parts, manager, addresses.advertise), state, clock);
  await installFirstIdentity(identityStore, manager, addresses);
  return RestoreSwarmResponse.create({
    nodeId: manager.node.id,
    clusterId: cluster.id,
    clusterName: cluster.spec?.name ?? '',
    managerAddress: formatHostPort(addresses.advertise),
    formerManagers: formerManagers.map((node) => node.description?.hostname || node.id),
    services: state.count('service'),
    nodes: state.count('node'),
  });
}
