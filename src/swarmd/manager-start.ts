/** How a manager begins: from the log that is there, from that of the others, or alone after the others were lost. */
import type { SwarmError } from '#common/errors.ts';
import type { DataKeys } from '#manager/log/index.ts';
import { forceNewCluster, type JoinedAs, type PeerTransport, type RaftLogOptions } from '#manager/raft/index.ts';
import type { DaemonParts } from './daemon-parts.ts';
import { demoteOthers, forcedPhase, markForced, unmarkForced } from './forced-cluster.ts';
import { hasLog, sweepForgotten } from './forget-log.ts';
import { joinLog } from './join-log.ts';
import type { ManagerKeys } from './manager-keys.ts';
import { ManagerRole } from './manager-role.ts';
import type { NodeIdentity } from './node-identity.ts';
import { FEATURE_LEVEL } from './version.ts';

export interface ManagerStart {
  readonly parts: DaemonParts;
  readonly identity: NodeIdentity;
  readonly keys: ManagerKeys;
  /** Other managers that this node knows, host:port, for joining the log through them. */
  readonly others: () => readonly string[];
  /** The leader found this manager at another address than it knew of itself. */
  readonly onAddress: (address: string) => Promise<void>;
  readonly transport: PeerTransport;
  /** Ends a join that is under way. */
  readonly signal: AbortSignal;
  readonly onRemoved: (error: SwarmError) => void;
}

/** A manager that is to be started. @throws SwarmError `corrupt-state` for a key or a log that cannot be read */
export async function makeManager(start: ManagerStart): Promise<ManagerRole> {
  const { parts, identity, transport, onRemoved } = start;
  const { paths, clock, random, logger } = parts;
  await sweepForgotten(paths);
  const keys = await dataKeysOf(start);
  if ((await forcedPhase(paths)) !== undefined)
    await forceNewCluster({
      directory: paths.log,
      keys,
      logger: logger.with({ part: 'log' }),
      clock,
      nodeId: identity.nodeId,
      address: identity.addresses.advertise,
      featureLevel: FEATURE_LEVEL,
      committing: () => markForced(paths, 'decided'),
    });
  return new ManagerRole({
    logDirectory: paths.log,
    snapshotDirectory: paths.snapshots,
    auditDirectory: paths.audit,
    keys,
    identity,
    origin: originOf(start),
    transport,
    images: parts.pinner,
    clock,
    random,
    logger,
    onFailure: (error) => parts.onFailure(error),
    onRemoved,
  });
}

/** The last step of a swarm that was forced to go on with this manager alone; nothing otherwise. */
export async function finishForced(role: ManagerRole, { paths, logger }: DaemonParts): Promise<void> {
  if ((await forcedPhase(paths)) === undefined) return;
  await demoteOthers(role.store, role.nodeId);
  await unmarkForced(paths);
  logger.warn('this manager goes on alone; the other managers are workers now', { nodeId: role.nodeId });
}

/** Without a log there is nothing that an older key would be good for, unless a backup of the log is put back. */
async function dataKeysOf({ parts, others, keys }: ManagerStart): Promise<DataKeys> {
  if (others().length === 0 || (await hasLog(parts.paths.log))) return keys.load();
  return keys.create();
}

/** A log that is there is gone on with in any case. */
function originOf(start: ManagerStart): RaftLogOptions['origin'] {
  if (start.others().length === 0) return { kind: 'resume' };
  return { kind: 'join', join: () => join(start) };
}

async function join({ identity, others, parts, signal, onAddress }: ManagerStart): Promise<JoinedAs> {
  const { advertise, listen } = identity.addresses;
  const call = { identity, managers: others(), logger: parts.logger, signal };
  // Without an address of its own, the one that the leader sees this node come from, with the port it listens on.
  const { raftId, members } = await joinLog(call, advertise || listen, FEATURE_LEVEL);
  const self = members.find((member) => member.raftId === raftId);
  if (self !== undefined && self.address !== advertise) await onAddress(self.address);
  return { raftId, members };
}
