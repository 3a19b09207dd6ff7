/** What the store knows of a client from outside of the swarm whose certificate the cluster's root has signed. */
import { SwarmError } from '#common/errors.ts';
import { isRetiredIssuer, retiredIssuerError } from '#manager/ca/index.ts';
import type { StoreView } from '#manager/store/index.ts';
import { CLIENT_ROLES } from '#proto/client-roles.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import type { ClientIdentity } from '#proto/grpc/caller.ts';
import type { JudgingAccess } from './admit-node.ts';

/**
 * Why the client may make no call; undefined when it may. Unlike a node, a client that is not in the store is nobody on
 * every manager: that one which lags refuses a new client for a moment is better than that it serves a revoked one.
 */
export function admitClient(manager: JudgingAccess, caller: ClientIdentity): SwarmError | undefined {
  let view: StoreView;
  try {
    view = manager().store.view();
  } catch (error) {
    return SwarmError.from(error); // why there is no manager here
  }
  return clientProblem(view, caller);
}

/**
 * The same for a call that was let in, after this manager has caught up with the others: what it knew when the call came
 * may have been older than the revocation.
 * @throws SwarmError `client-revoked`
 */
export function refuseRevoked(view: StoreView, { caller }: Pick<CallContext, 'caller'>): void {
  const problem = caller.kind === 'client' ? clientProblem(view, caller) : undefined;
  if (problem !== undefined) throw problem;
}

function clientProblem(view: StoreView, caller: ClientIdentity): SwarmError | undefined {
  if (isRetiredIssuer(view.cluster(), caller.issuerKeyId))
    return retiredIssuerError('client', `client ${caller.clientId}`);
  const client = view.get('client', caller.clientId);
  if (client === undefined || client.role !== CLIENT_ROLES[caller.role]) return revoked(caller);
  if (caller.serial === client.serial) return undefined;
  // A renewal is no revocation: what was there before goes on until its end.
  if (caller.serial === client.previousSerial) return undefined;
  return new SwarmError({
    code: 'denied',
    reason: 'client-revoked',
    message: `client ${client.name} has got another certificate, and this one does not count any more`,
    hint: 'use the newest bundle of the client, or ask an administrator for a new one: `swarm client renew`',
  });
}

function revoked({ clientId }: ClientIdentity): SwarmError {
  return new SwarmError({
    code: 'denied',
    reason: 'client-revoked',
    message: `client ${clientId} is not known to the swarm: it was revoked`,
    hint: 'ask an administrator for a new one: `swarm client create`',
  });
}
