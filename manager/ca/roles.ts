import type { NodeRoleName } from '#certs/identity.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';

export const NODE_ROLES: { readonly [Name in NodeRoleName]: NodeRole } = {
  manager: NodeRole.MANAGER,
  worker: NodeRole.WORKER,
};

/** A role that nobody set is the one with fewer rights. */
export function roleName(role: NodeRole): NodeRoleName {
  return role === NodeRole.MANAGER ? 'manager' : 'worker';
}
