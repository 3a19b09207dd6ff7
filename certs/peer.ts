/** Who is calling. */
import { SwarmError } from '#common/errors.ts';
import { parseCertificate } from './certificate.ts';
import { TLS_CONFIG } from './config.ts';
import { type CertifiedIdentity, certifiedIdentity } from './identity.ts';

/** What a peer has shown to TLS. */
export interface ShownCertificate {
  readonly fingerprint256: string;
  /** DER. */
  readonly raw: Buffer;
}

/** The part of a grpc-js server call that tells the peer. */
export interface AuthenticatedCall {
  getAuthContext(): { readonly sslPeerCertificate?: ShownCertificate | undefined };
}

/** Identities by certificate fingerprint, oldest first: a connection's certificate is parsed once, not at every call. */
const known = new Map<string, CertifiedIdentity>();

/**
 * The identity in the caller's certificate, which TLS has verified against the cluster's roots; undefined when it showed
 * none, or one that those roots did not sign. Throws `expired` when the certificate has run out since the connection
 * was made, and `bad-certificate` when it is not one of a node.
 *
 * Whether the node still exists and may call the method is for the caller of this function to decide.
 */
export function peerIdentity(call: AuthenticatedCall, nowMs: number): CertifiedIdentity | undefined {
  const certificate = call.getAuthContext().sslPeerCertificate;
  if (certificate === undefined) return undefined;
  const identity = known.get(certificate.fingerprint256) ?? remember(certificate);
  if (nowMs > identity.notAfterMs)
    throw new SwarmError({
      code: 'unauthenticated',
      reason: 'expired',
      message: `the certificate of node ${identity.nodeId} has expired`,
      hint: 'check the clocks; if they are right, let the node leave and join again',
    });
  return identity;
}

function remember(certificate: ShownCertificate): CertifiedIdentity {
  const identity = certifiedIdentity(parseCertificate(certificate.raw, "caller's certificate"));
  if (known.size >= TLS_CONFIG.peerCacheEntries) {
    const oldest = known.keys().next().value;
    if (oldest !== undefined) known.delete(oldest);
  }
  known.set(certificate.fingerprint256, identity);
  return identity;
}
