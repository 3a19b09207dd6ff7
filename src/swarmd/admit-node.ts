/** What the store knows of a caller that certificate and table admit. */
import { SwarmError } from '#common/errors.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import type { NodeRoleName, PeerIdentity } from '#proto/grpc/caller.ts';
import type { ManagerAccess } from './handlers/manager-access.ts';
import type { ManagerRole } from './manager-role.ts';

/**
 * Streams of the log are let in whatever the store says: the log knows its members better, and a manager that was away
 * for long has to catch up before it can judge anybody.
 */
const ALWAYS = '/swarm.v1.RaftService/';

/**
 * Why the node may make no call; undefined when it may. A certificate outlives the membership that it was issued for.
 * Only the leader's state is complete: on the others a node that is not there may be a new one.
 */
export function admitNode(manager: ManagerAccess, caller: PeerIdentity, path: string): SwarmError | undefined {
  const role = servingManager(manager);
  if (role === undefined || path.startsWith(ALWAYS)) return undefined; // what needs the state says so itself
  const view = role.store.view();
  const isRemoved = view.cluster()?.removedNodes.some(({ nodeId }) => nodeId === caller.nodeId) === true;
  const isKnown = view.get('node', caller.nodeId) !== undefined;
  if (!isRemoved && (isKnown || role.log.leadership().state !== 'leader')) return undefined;
  return new SwarmError({
    code: 'denied',
    reason: 'node-removed',
    message: `node ${caller.nodeId} is not part of the swarm any more`,
    hint: 'let it leave (`swarm leave --force` there) and join again with a token',
  });
}

/** A demoted manager is a worker from the moment that the store says so, whatever its certificate says. */
export function roleOfNode(manager: ManagerAccess, caller: PeerIdentity, path: string): NodeRoleName {
  if (path.startsWith(ALWAYS)) return caller.role;
  const node = servingManager(manager)?.store.view().get('node', caller.nodeId);
  return node?.role === NodeRole.WORKER ? 'worker' : caller.role;
}

function servingManager(manager: ManagerAccess): ManagerRole | undefined {
  try {
    return manager();
  } catch {
    return undefined;
  }
}
