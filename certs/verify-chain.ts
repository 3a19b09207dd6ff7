/** Verification of certificates without a TLS connection: when one is received, and when one is loaded from disk. */
import { SwarmError } from '#common/errors.ts';
import type { Certificate } from './certificate.ts';
import { CERTIFICATE_CONFIG } from './config.ts';
import { signatureHolds } from './signature.ts';

/**
 * Checks that the leaf (first of `chain`, the others being intermediates in any order) leads to one of `roots` and that
 * every certificate on the way holds now. The error to answer with, or undefined.
 *
 * Reasons: `wrong-cluster` when no root of ours signed it, `expired` when it is out of its time, `bad-certificate` else.
 */
export function verifyChain(
  chain: readonly Certificate[],
  roots: readonly Certificate[],
  nowMs: number,
): SwarmError | undefined {
  const [leaf, ...intermediates] = chain;
  if (leaf === undefined) return refuse('bad-certificate', 'no certificate was given');
  let current = leaf;
  for (let depth = 0; depth < CERTIFICATE_CONFIG.chainMaxLength; depth++) {
    const timeError = checkTime(current, nowMs);
    if (timeError !== undefined) return timeError;
    const subject = current;
    const root = roots.find((candidate) => issued(candidate, subject, depth));
    if (root !== undefined) return checkTime(root, nowMs);
    const next = intermediates.find((candidate) => candidate !== subject && issued(candidate, subject, depth));
    if (next === undefined) break;
    current = next;
  }
  return refuse(
    'wrong-cluster',
    'the certificate was not signed by the root certificate of this cluster',
    'check that both sides belong to the same cluster',
  );
}

/** Whether `issuer` may sign certificates and did sign this one. `depth` authorities are already below it. */
function issued(issuer: Certificate, subject: Certificate, depth: number): boolean {
  return (
    issuer.isAuthority &&
    issuer.keyUsage?.certificateSign !== false &&
    (issuer.pathLength === undefined || issuer.pathLength >= depth) &&
    issuer.subjectDer.equals(subject.issuerDer) &&
    (subject.authorityKeyId === undefined ||
      issuer.subjectKeyId === undefined ||
      subject.authorityKeyId === issuer.subjectKeyId) &&
    signatureHolds(subject.signedPart, subject.signature, issuer.publicKey)
  );
}

function checkTime(certificate: Certificate, nowMs: number): SwarmError | undefined {
  const now = new Date(nowMs).toISOString();
  const name = certificate.subject.commonName ?? certificate.serial;
  if (nowMs < certificate.notBeforeMs)
    return refuse(
      'expired',
      `the certificate of ${name} holds only from ${new Date(certificate.notBeforeMs).toISOString()} on, and it is ${now} here`,
      "compare this host's clock with the manager's and set it",
    );
  if (nowMs > certificate.notAfterMs)
    return refuse(
      'expired',
      `the certificate of ${name} expired at ${new Date(certificate.notAfterMs).toISOString()}, and it is ${now} here`,
      "check this host's clock; if it is right, let the node leave and join again",
    );
  return undefined;
}

function refuse(reason: 'bad-certificate' | 'wrong-cluster' | 'expired', message: string, hint?: string): SwarmError {
  return new SwarmError({ code: 'unauthenticated', reason, message, hint });
}
