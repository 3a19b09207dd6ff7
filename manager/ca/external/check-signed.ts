/** What an authority outside of the swarm sends back is taken for nothing before all of it was checked. */
import { authorityKeyId } from '#certs/authority.ts';
import { type Certificate, parseCertificates } from '#certs/certificate.ts';
import { certifiedIdentity } from '#certs/identity.ts';
import { type CertificateTimes, nodeDnsNames } from '#certs/node-certificate.ts';
import { OIDS } from '#certs/oids.ts';
import { verifyChain } from '#certs/verify-chain.ts';
import { SwarmError } from '#common/errors.ts';
import type { SigningOrder } from '../node-signer.ts';

/**
 * The node's certificate out of the answer (chains may follow it, and are not taken over).
 * @throws SwarmError `bad-certificate` with the first thing that is not as it was ordered
 */
export function checkSigned(
  pem: string,
  order: SigningOrder,
  root: Certificate,
  times: CertificateTimes,
  toleranceMs: number,
): Certificate {
  const [leaf] = reading(() => parseCertificates(pem, 'the certificate'));
  if (leaf === undefined) throw lie('it holds no certificate');
  const identity = reading(() => certifiedIdentity(leaf));
  if (!leaf.publicKeyDer.equals(order.publicKeyDer)) throw lie('it is for another key than the one of the request');
  const wanted = order.identity;
  if (identity.nodeId !== wanted.nodeId || identity.clusterId !== wanted.clusterId || identity.role !== wanted.role)
    throw lie(`it names ${identity.role} ${identity.nodeId} of cluster ${identity.clusterId}, which was not asked for`);
  checkNames(leaf, order);
  checkUse(leaf);
  if (leaf.authorityKeyId !== authorityKeyId(root))
    throw lie('it does not name the root as its issuer (authority key identifier): intermediates are not supported');
  const problem = verifyChain([leaf], [root], order.nowMs);
  if (problem !== undefined) throw lie(problem.message);
  checkTimes(leaf, order, times, toleranceMs);
  return leaf;
}

function checkNames(leaf: Certificate, order: SigningOrder): void {
  const wanted = [...nodeDnsNames(order.identity)].sort();
  const found = [...leaf.dnsNames].sort();
  if (wanted.length === found.length && wanted.every((name, index) => name === found[index])) return;
  throw lie(`its DNS names are ${found.join(', ') || 'none'} instead of ${wanted.join(', ')}`);
}

function checkUse(leaf: Certificate): void {
  const purposes = leaf.extendedKeyUsage;
  const missing = [OIDS.serverAuthentication, OIDS.clientAuthentication].some(
    (oid) => purposes?.includes(oid) === false,
  );
  if (missing) throw lie('it is not good for both server and client authentication');
  if (leaf.keyUsage?.digitalSignature === false) throw lie('its key may not be used for signatures');
  if (leaf.keyUsage?.certificateSign === true) throw lie('its key may be used to sign certificates');
}

function checkTimes(leaf: Certificate, order: SigningOrder, times: CertificateTimes, toleranceMs: number): void {
  const end = new Date(leaf.notAfterMs).toISOString();
  // A node would ask for another one at once, again and again.
  if (leaf.notAfterMs > times.notAfterMs + toleranceMs)
    throw lie(
      `it ends at ${end}, later than asked (${new Date(times.notAfterMs).toISOString()}): let the profile follow not_after, or sign for less than --cert-expiry`,
    );
  const { replacesNotBeforeMs } = order;
  if (replacesNotBeforeMs !== undefined && replacesNotBeforeMs < order.nowMs && leaf.notBeforeMs <= replacesNotBeforeMs)
    throw lie('it begins no later than the one that it takes the place of; let the profile follow not_before');
}

function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    throw lie(SwarmError.from(thrown).message);
  }
}

function lie(problem: string): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'bad-certificate',
    message: `its certificate will not do: ${problem}`,
  });
}
