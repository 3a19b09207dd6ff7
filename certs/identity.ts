/** Who a node is, as its certificate says it: CN is the node id, OU the role, O the cluster. */
import { isId } from '#common/ids.ts';
import type { CertificateFacts } from './certificate.ts';
import { badCertificate } from './errors.ts';
import { type Validity, validityOf } from './validity.ts';

export type NodeRoleName = 'manager' | 'worker';

export interface NodeIdentity {
  readonly nodeId: string;
  readonly role: NodeRoleName;
  readonly clusterId: string;
}

/** What a certificate says about its node. */
export interface CertifiedIdentity extends NodeIdentity, Validity {}

/** OU of a certificate and, as a DNS name in it, the name that TLS clients expect of their peer. */
export const ROLE_UNITS: { readonly [Role in NodeRoleName]: string } = {
  manager: 'swarm-manager',
  worker: 'swarm-worker',
};

/** DNS name that only managers' certificates carry: the peer may act as the cluster's CA. */
export const CA_SERVER_NAME = 'swarm-ca';

/** The identity in a node certificate. Says nothing about who signed it: see `verifyChain`. */
export function certifiedIdentity(certificate: CertificateFacts): CertifiedIdentity {
  const what = 'node certificate';
  const { commonName, organization, organizationalUnit } = certificate.subject;
  if (certificate.isAuthority) throw badCertificate(what, 'is the certificate of an authority, not of a node');
  if (commonName === undefined || !isId(commonName)) throw badCertificate(what, 'names no node (CN is not a node id)');
  if (organization === undefined || !isId(organization))
    throw badCertificate(what, 'names no cluster (O is not a cluster id)');
  const role = roleOfUnit(organizationalUnit);
  if (role === undefined) throw badCertificate(what, `has no role (OU is ${JSON.stringify(organizationalUnit ?? '')})`);
  return { nodeId: commonName, role, clusterId: organization, ...validityOf(certificate) };
}

function roleOfUnit(unit: string | undefined): NodeRoleName | undefined {
  if (unit === ROLE_UNITS.manager) return 'manager';
  if (unit === ROLE_UNITS.worker) return 'worker';
  return undefined;
}
