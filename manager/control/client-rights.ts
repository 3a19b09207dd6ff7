/** What depends on which client asks, beside the methods that its role may call: parts of requests and of answers. */
import { SwarmError } from '#common/errors.ts';
import type { UpdateNodeRequest } from '#gen/swarm/v1/control.ts';
import type { StoreView } from '#manager/store/index.ts';
import type { ControlCaller } from './write-queue.ts';

/** Join tokens let machines in: they are for those to whom the swarm is entrusted. */
export function maySeeTokens({ client }: ControlCaller): boolean {
  return client === undefined || client.role === 'admin';
}

/** @throws SwarmError `wrong-role` for an operator who would make a manager of a node, or end one: that is an administrator's */
export function checkNodeRights(view: StoreView, request: UpdateNodeRequest, { client }: ControlCaller): void {
  if (client === undefined || client.role === 'admin') return;
  const before = view.get('node', request.id)?.spec?.desiredRole;
  if (before === undefined || request.spec === undefined || request.spec.desiredRole === before) return;
  throw new SwarmError({
    code: 'denied',
    reason: 'wrong-role',
    field: 'role',
    message: `role: a client of role ${client.role} cannot change the role of a node, only its availability and labels`,
    hint: 'ask an administrator, or use a context of role admin: `swarm context ls`',
  });
}
