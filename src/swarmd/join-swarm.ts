/** `swarm join`, up to the identity on disk, which makes this host a member. */
import { dialCa, IDENTITY_CONFIG, type IdentityStore, joinCluster } from '#agent/identity/index.ts';
import { formatHostPort } from '#common/host-port.ts';
import type { JoinSwarmRequest } from '#gen/swarm/v1/node.ts';
import { advertiseAddress, listenAddress } from './addresses.ts';
import type { DaemonParts } from './daemon-parts.ts';

/** Resolves with what the operator should know. */
export async function joinSwarm(
  parts: DaemonParts,
  store: IdentityStore,
  request: JoinSwarmRequest,
): Promise<readonly string[]> {
  const { clock, random, logger, hostname, addresses } = parts;
  const listen = listenAddress(request.listenAddress || addresses.listen);
  // Without one, managers know this node by the address that they see.
  const given = request.advertiseAddress || addresses.advertise;
  const advertise = given === '' ? '' : formatHostPort(advertiseAddress(given, listen));
  return joinCluster({
    store,
    token: request.token,
    managers: request.remoteAddresses,
    hostname,
    // Unless it is asked for, a node that joins again keeps the one that it had.
    availability: request.availability,
    addresses: { listen: formatHostPort(listen), advertise, dataPath: request.dataPathAddress },
    newIdentity: request.newIdentity,
    dial: dialCa,
    clock,
    random,
    logger,
    config: IDENTITY_CONFIG,
  });
}
