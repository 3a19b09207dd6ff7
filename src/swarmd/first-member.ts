/** How a host becomes the first manager of a swarm that is new, or begins again: its log first, then its identity. */
import { rm } from 'node:fs/promises';
import type { IdentityStore } from '#agent/identity/index.ts';
import { formatHostPort, type HostPort } from '#common/host-port.ts';
import type { FirstManager } from '#manager/ca/index.ts';
import { type PeerTransport, RaftLog } from '#manager/raft/index.ts';
import type { DaemonParts } from './daemon-parts.ts';
import { createDataKey } from './data-key.ts';
import { FEATURE_LEVEL } from './version.ts';

export interface FirstAddresses {
  readonly listen: HostPort;
  readonly advertise: HostPort;
  /** Empty: follows the others. */
  readonly dataPath: string;
}

/** A log of one member has nobody to talk to. */
const NO_PEERS: PeerTransport = {
  start: () => {},
  setPeers: () => {},
  send: () => {},
  sendSnapshot: () => Promise.reject(new Error('a log of one member sends no snapshots')),
  peer: () => undefined,
  close: () => Promise.resolve(),
};

/** The log of the swarm that begins, empty and not started, with a key of its own. */
export async function firstLog(parts: DaemonParts, manager: FirstManager, advertise: HostPort): Promise<RaftLog> {
  const { paths, clock, random, logger } = parts;
  // Only what was interrupted has left one: a member has an identity.
  await rm(paths.log, { recursive: true, force: true });
  const address = formatHostPort(advertise);
  return new RaftLog({
    directory: paths.log,
    keys: await createDataKey(paths.dataKey),
    logger: logger.with({ part: 'log' }),
    clock,
    random,
    transport: NO_PEERS,
    nodeId: manager.node.id,
    address: () => address,
    featureLevel: FEATURE_LEVEL,
    origin: { kind: 'found' },
    onRemoved: () => {},
  });
}

/** Makes this host the manager: the last step, once its log holds the objects. */
export async function installFirstIdentity(
  identityStore: IdentityStore,
  { node, identity }: FirstManager,
  { listen, advertise, dataPath }: FirstAddresses,
): Promise<void> {
  const { keys, certificatePem, rootPem } = identity;
  const address = formatHostPort(advertise);
  await identityStore.install({
    privateKey: keys.privateKey,
    certificatePem,
    rootPem,
    managers: [{ nodeId: node.id, address }],
    addresses: { listen: formatHostPort(listen), advertise: address, dataPath },
  });
}
