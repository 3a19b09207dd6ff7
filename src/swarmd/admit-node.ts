/** What the store knows of a caller that certificate and table admit. */

import { parseCertificates } from '#certs/certificate.ts';
import { certifiedIdentity } from '#certs/identity.ts';
import { SwarmError } from '#common/errors.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { isRetiredIssuer, retiredIssuerError } from '#manager/ca/index.ts';
import type { Leadership } from '#manager/log/index.ts';
import { removedNodeIds } from '#manager/membership/index.ts';
import type { NodeRoleName, PeerIdentity } from '#proto/grpc/caller.ts';
import type { ManagerRole } from './manager-role.ts';

/** The manager of this node, as far as callers are judged by it; throws as long as there is none. */
export type JudgingAccess = () => {
  readonly store: Pick<ManagerRole['store'], 'view'>;
  readonly log: { leadership(): Pick<Leadership, 'state'> };
};

/**
 * Streams of the log are let in whatever the store says: the log knows its members better, and a manager that was away
 * for long has to catch up before it can judge anybody. Of those whom the log does not name `strangerProblem` judges.
 */
const ALWAYS = '/swarm.v1.RaftService/';

/**
 * Why the node may make no call; undefined when it may. A certificate outlives the membership that it was issued for.
 * Only the leader's state is complete: on the others a node that is not there may be a new one.
 */
export function admitNode(manager: JudgingAccess, caller: PeerIdentity, path: string): SwarmError | undefined {
  const role = servingManager(manager);
  if (role === undefined || path.startsWith(ALWAYS)) return undefined; // what needs the state says so itself
  return retirementOf(role, caller) ?? removalOf(role, caller);
}

/**
 * Why the node may not speak for a member that the log does not name; undefined when it may. It may be one that was added
 * after what this manager has heard of, and lead; but nobody returns with an id that was removed, and who was promoted
 * after the demotion that is known here has a certificate that was issued after it.
 */
export function strangerProblem(manager: JudgingAccess, caller: PeerIdentity): SwarmError | undefined {
  const role = servingManager(manager);
  if (role === undefined) return undefined;
  const removal = retirementOf(role, caller) ?? removalOf(role, caller);
  if (removal !== undefined) return removal;
  const node = role.store.view().get('node', caller.nodeId);
  if (node?.role !== NodeRole.WORKER || isNewer(caller, node.certificate?.certificatePem)) return undefined;
  return new SwarmError({
    code: 'denied',
    reason: 'node-removed',
    message: `node ${caller.nodeId} is no manager any more`,
    hint: 'promote it (`swarm node promote`), or let it leave the swarm (`swarm leave --force`) and join with a new token',
  });
}

/** Why a certificate counts no more that was good when its connection was made: its root was replaced. */
function retirementOf(role: ReturnType<JudgingAccess>, caller: PeerIdentity): SwarmError | undefined {
  const isRetired = isRetiredIssuer(role.store.view().cluster(), caller.issuerKeyId);
  return isRetired ? retiredIssuerError('node', `node ${caller.nodeId}`) : undefined;
}

function removalOf(role: ReturnType<JudgingAccess>, { nodeId, notBeforeMs }: PeerIdentity): SwarmError | undefined {
  const view = role.store.view();
  const cluster = view.cluster();
  const isRemoved = cluster !== undefined && removedNodeIds(cluster).has(nodeId);
  const node = view.get('node', nodeId);
  const isKnown = node !== undefined;
  if (isKnown && notBeforeMs < node.certificatesFromMs) return outdated(nodeId);
  if (!isRemoved && (isKnown || role.log.leadership().state !== 'leader')) return undefined;
  return new SwarmError({
    code: 'denied',
    reason: 'node-removed',
    message: `node ${nodeId} is not part of the swarm any more`,
    hint: 'let it leave (`swarm leave --force` there) and join again with a token',
  });
}

/** The node has left since, and joined again: who has this certificate is not it, or has missed that it is. */
function outdated(nodeId: string): SwarmError {
  return new SwarmError({
    code: 'denied',
    reason: 'node-removed',
    message: `this certificate of node ${nodeId} does not count any more: the node has joined again since`,
    hint: 'on a copy of that host: `swarm leave --force`, then join with a token',
  });
}

/** Whether the caller's certificate was issued after this one: every certificate of a node begins later than the last. */
function isNewer(caller: PeerIdentity, certificatePem: Uint8Array | undefined): boolean {
  if (certificatePem === undefined || certificatePem.length === 0) return true;
  const [certificate] = parseCertificates(certificatePem, 'certificate of a node');
  if (certificate === undefined) return true;
  const { serial, notBeforeMs } = certifiedIdentity(certificate);
  return caller.serial !== serial && caller.notBeforeMs > notBeforeMs;
}

/** A demoted manager is a worker from the moment that the store says so, whatever its certificate says. */
export function roleOfNode(manager: JudgingAccess, caller: PeerIdentity, path: string): NodeRoleName {
  if (path.startsWith(ALWAYS)) return caller.role;
  const node = servingManager(manager)?.store.view().get('node', caller.nodeId);
  return node?.role === NodeRole.WORKER ? 'worker' : caller.role;
}

function servingManager(manager: JudgingAccess): ReturnType<JudgingAccess> | undefined {
  try {
    return manager();
  } catch {
    return undefined;
  }
}
