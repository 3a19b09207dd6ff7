/** Who is calling. */
import { SwarmError } from '#common/errors.ts';
import { parseVerifiedCertificate } from './certificate.ts';
import { type CertifiedClient, certifiedClient, isClientCertificate } from './client-identity.ts';
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

/** A node of the cluster or a client from outside: no certificate is one of both. */
export type CertifiedPeer =
  | ({ readonly kind: 'node' } & CertifiedIdentity)
  | ({ readonly kind: 'client' } & CertifiedClient);

/** Identities by certificate fingerprint, oldest first: a connection's certificate is parsed once, not at every call. */
const known = new Map<string, CertifiedPeer>();

/**
 * The identity in the caller's certificate, which TLS has verified against the cluster's roots; undefined when it showed
 * none, or one that those roots did not sign. Throws `expired` when the certificate has run out since the connection
 * was made, and `bad-certificate` when it is neither one of a node nor one of a client.
 *
 * Whether the node or the client still exists and may call the method is for the caller of this function to decide.
 */
export function peerIdentity(call: AuthenticatedCall, nowMs: number): CertifiedPeer | undefined {
  const certificate = call.getAuthContext().sslPeerCertificate;
  if (certificate === undefined) return undefined;
  const identity = known.get(certificate.fingerprint256) ?? remember(certificate);
  if (nowMs > identity.notAfterMs) throw expired(identity);
  return identity;
}

function expired(peer: CertifiedPeer): SwarmError {
  const isNode = peer.kind === 'node';
  return new SwarmError({
    code: 'unauthenticated',
    reason: 'expired',
    message: `the certificate of ${isNode ? `node ${peer.nodeId}` : `client ${peer.clientId}`} has expired`,
    hint: isNode
      ? 'check the clocks; if they are right, let the node leave and join again'
      : 'check the clocks; if they are right, let an administrator renew it: `swarm client renew`',
  });
}

function remember(certificate: ShownCertificate): CertifiedPeer {
  const parsed = parseVerifiedCertificate(certificate.raw, "caller's certificate");
  const identity: CertifiedPeer = isClientCertificate(parsed)
    ? { kind: 'client', ...certifiedClient(parsed) }
    : { kind: 'node', ...certifiedIdentity(parsed) };
  if (known.size >= TLS_CONFIG.peerCacheEntries) {
    const oldest = known.keys().next().value;
    if (oldest !== undefined) known.delete(oldest);
  }
  known.set(certificate.fingerprint256, identity);
  return identity;
}
