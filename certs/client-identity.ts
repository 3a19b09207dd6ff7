/** Who a client from outside of the swarm is, as its certificate says it: CN is the client id, OU the role, O the cluster. */
import { isId } from '#common/ids.ts';
import type { CertificateFacts } from './certificate.ts';
import { badCertificate } from './errors.ts';
import { OIDS } from './oids.ts';
import { type Validity, validityOf } from './validity.ts';

export type ClientRoleName = 'admin' | 'operator' | 'viewer';

/** What a certificate says about its client. */
export interface CertifiedClient extends Validity {
  readonly clientId: string;
  readonly role: ClientRoleName;
  readonly clusterId: string;
}

/** OU of a client's certificate. None of them is the OU of a node. */
export const CLIENT_UNITS: { readonly [Role in ClientRoleName]: string } = {
  admin: 'swarm-client-admin',
  operator: 'swarm-client-operator',
  viewer: 'swarm-client-viewer',
};

const ROLES = Object.keys(CLIENT_UNITS) as readonly ClientRoleName[];
const WHAT = 'client certificate';

/** Whether the certificate calls itself one of a client: then `certifiedClient` reads it. */
export function isClientCertificate({ subject }: Pick<CertificateFacts, 'subject'>): boolean {
  return roleOfUnit(subject.organizationalUnit) !== undefined;
}

/**
 * The identity in a client's certificate. Refuses one that could be used as a server or that has names of hosts: the
 * cluster does not issue such. Says nothing about who signed it: see `verifyChain`.
 */
export function certifiedClient(certificate: CertificateFacts): CertifiedClient {
  const { commonName, organization, organizationalUnit } = certificate.subject;
  if (certificate.isAuthority) throw badCertificate(WHAT, 'is the certificate of an authority, not of a client');
  if (commonName === undefined || !isId(commonName)) throw badCertificate(WHAT, 'names no client (CN is not an id)');
  if (organization === undefined || !isId(organization))
    throw badCertificate(WHAT, 'names no cluster (O is not a cluster id)');
  const role = roleOfUnit(organizationalUnit);
  if (role === undefined)
    throw badCertificate(WHAT, `has no client's role (OU is ${JSON.stringify(organizationalUnit ?? '')})`);
  const purposes = certificate.extendedKeyUsage;
  if (purposes?.length !== 1 || purposes[0] !== OIDS.clientAuthentication || certificate.dnsNames.length > 0)
    throw badCertificate(WHAT, 'is for more than calling managers');
  return { clientId: commonName, role, clusterId: organization, ...validityOf(certificate) };
}

function roleOfUnit(unit: string | undefined): ClientRoleName | undefined {
  return ROLES.find((role) => CLIENT_UNITS[role] === unit);
}
