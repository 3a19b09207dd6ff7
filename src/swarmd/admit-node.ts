/** The last word on a caller that certificate and table admit: what the store knows of its node. */
import { SwarmError } from '#common/errors.ts';
import { DispatcherService } from '#gen/swarm/v1/dispatcher.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { refuseCall } from '#proto/authorization.ts';
import type { PeerIdentity } from '#proto/grpc/caller.ts';
import type { ManagerAccess } from './handlers/manager-access.ts';
import type { ManagerRole } from './manager-role.ts';

/**
 * Why the node may not make the call; undefined when it may. A certificate outlives the membership and the role that it
 * was issued for: a removed node is refused, a demoted one is what its node object says.
 *
 * Only the leader's state is complete. On the others a node that is not there may be a new one; only what is known for
 * certain refuses it. Streams of the log are let in always: the log knows its members better than the store does.
 */
export function admitNode(manager: ManagerAccess, caller: PeerIdentity, path: string): SwarmError | undefined {
  if (path.startsWith('/swarm.v1.RaftService/')) return undefined;
  const role = servingManager(manager);
  if (role === undefined) return undefined; // nothing is known yet; what needs the state says so itself
  const view = role.store.view();
  const node = view.get('node', caller.nodeId);
  const isRemoved = view.cluster()?.removedNodes.some(({ nodeId }) => nodeId === caller.nodeId) === true;
  if (isRemoved) return removed(caller.nodeId);
  // An agent that is told this gives up what it runs: its session asks a quorum first whether this manager still leads.
  const isAgent = path === DispatcherService.session.path;
  if (node === undefined && !isAgent && role.log.leadership().state === 'leader') return removed(caller.nodeId);
  if (node?.role === NodeRole.WORKER && caller.role === 'manager')
    return refuseCall(path, { kind: 'node', ...caller, role: 'worker' });
  return undefined;
}

function servingManager(manager: ManagerAccess): ManagerRole | undefined {
  try {
    return manager();
  } catch {
    return undefined;
  }
}

function removed(nodeId: string): SwarmError {
  return new SwarmError({
    code: 'denied',
    reason: 'node-removed',
    message: `node ${nodeId} is not part of the swarm any more`,
    hint: 'let it leave (`swarm leave --force` there) and join again with a token',
  });
}
