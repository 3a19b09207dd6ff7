/** What a node's certificate says, whoever signs it: the managers themselves or an authority outside of the swarm. */
import type { Certificate } from './certificate.ts';
import { CERTIFICATE_CONFIG } from './config.ts';
import { CA_SERVER_NAME, type NodeIdentity, ROLE_UNITS } from './identity.ts';

export interface NodeCertificateOrder {
  readonly identity: NodeIdentity;
  /** SubjectPublicKeyInfo of a verified request. */
  readonly publicKeyDer: Buffer;
  readonly nowMs: number;
  readonly lifetimeMs: number;
  /** Start of the certificate that this one takes the place of: it begins later, so that the newer of two is known. */
  readonly replacesNotBeforeMs?: number | undefined;
}

/** As ms of the epoch. */
export interface CertificateTimes {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * A node's certificate never outlives that of its root, holds from now on at the latest, and begins at least a second,
 * which is what certificates count in, after the one that it replaces. Only where a clock was set back by more than the
 * time that certificates are dated back is there no such start, and it is now.
 */
export function nodeCertificateTimes(order: NodeCertificateOrder, root: Certificate): CertificateTimes {
  const { nowMs, lifetimeMs, replacesNotBeforeMs } = order;
  const earliestStarts = [nowMs - CERTIFICATE_CONFIG.backdateMs, root.notBeforeMs];
  if (replacesNotBeforeMs !== undefined) earliestStarts.push(replacesNotBeforeMs + 1000);
  return {
    notBeforeMs: Math.min(nowMs, Math.max(...earliestStarts)),
    notAfterMs: Math.min(nowMs + lifetimeMs, root.notAfterMs),
  };
}

/** DNS names that a node's certificate has, no more and no fewer. */
export function nodeDnsNames({ role, nodeId }: NodeIdentity): readonly string[] {
  const names = [ROLE_UNITS[role], nodeId];
  return role === 'manager' ? [...names, CA_SERVER_NAME] : names;
}
