/** Why a certificate does not count that TLS has not verified: who shows it has to know what to do. */
import { parseCertificate } from '#certs/certificate.ts';
import { isClientCertificate } from '#certs/client-identity.ts';
import type { SwarmError } from '#common/errors.ts';
import { isRetiredIssuer, retiredIssuerError } from '#manager/ca/index.ts';
import type { JudgingAccess } from './admit-node.ts';

/**
 * Whether it says of itself that a root of this swarm has signed it which was replaced. Nobody has verified that: it is
 * told to the one who shows it, and nothing follows from it. Undefined for any other certificate.
 */
export function explainStranger(manager: JudgingAccess, untrusted: Buffer): SwarmError | undefined {
  try {
    const { authorityKeyId, subject } = parseCertificate(untrusted, "caller's certificate");
    if (!isRetiredIssuer(manager().store.view().cluster(), authorityKeyId ?? '')) return undefined;
    return retiredIssuerError(
      isClientCertificate({ subject }) ? 'client' : 'node',
      subject.commonName ?? 'this caller',
    );
  } catch {
    return undefined; // not a certificate of ours, or no manager yet
  }
}
