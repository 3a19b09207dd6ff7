/** The calling side of TLS between members, without grpc-js, which takes long to load: `tls.ts` has the rest. */
import { constants } from 'node:crypto';
import {
  type ConnectionOptions,
  createSecureContext,
  type SecureContextOptions,
  type TLSSocket,
  connect as tlsConnect,
} from 'node:tls';
import { SwarmError } from '#common/errors.ts';
import { parseCertificate } from './certificate.ts';
import { TLS_CIPHERS, TLS_CURVES } from './config.ts';
import { certifiedIdentity, type NodeRoleName, ROLE_UNITS } from './identity.ts';

/** What one end of a connection shows and trusts. All PEM. */
export interface TlsIdentity {
  /** The node's certificate, followed by intermediates if there are any. */
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  /** Roots that the peer's certificate must lead to. */
  readonly rootsPem: string;
}

const PROTOCOL: SecureContextOptions = {
  minVersion: 'TLSv1.2',
  ciphers: TLS_CIPHERS,
  ecdhCurve: TLS_CURVES,
  honorCipherOrder: true,
  // A resumed session would carry an old certificate past its replacement or expiry; a handshake costs 3 ms.
  secureOptions: constants.SSL_OP_NO_TICKET,
  sessionTimeout: 1,
};

export function contextOptions(identity: TlsIdentity): SecureContextOptions {
  return { ...PROTOCOL, ca: identity.rootsPem, cert: identity.certificatePem, key: identity.privateKeyPem };
}

/** Which peer a client is willing to talk to, beyond that a trusted root has signed its certificate. */
export interface PeerExpectation {
  readonly role: NodeRoleName;
  readonly clusterId?: string | undefined;
  readonly nodeId?: string | undefined;
}

export type ClientTrust =
  /** Mutual TLS between members. The function is asked at every new connection. */
  | { readonly kind: 'member'; readonly identity: () => TlsIdentity; readonly expect: PeerExpectation }
  /** The server must be a manager of the cluster with this root; the client has no certificate yet. */
  | { readonly kind: 'pinned'; readonly rootsPem: string; readonly expect: PeerExpectation }
  /** Nothing is checked. For fetching a root certificate whose digest is checked afterwards, and nothing else. */
  | { readonly kind: 'unverified' };

/** What TLS needs to know of the peer that a client is willing to talk to. */
export function clientOptions(trust: ClientTrust): ConnectionOptions {
  return {
    secureContext: createSecureContext(clientContext(trust)),
    // Servers are known by role and node, not by address: addresses change, and may be shared.
    servername: ROLE_UNITS.manager,
    ALPNProtocols: ['h2'],
    rejectUnauthorized: trust.kind !== 'unverified',
    checkServerIdentity: (_name, certificate) =>
      trust.kind === 'unverified' ? undefined : checkPeer(certificate.raw, trust.expect),
  };
}

/** Begins a connection without grpc-js; its handshake is over at `secureConnect`. */
export function connectNode(address: { readonly host: string; readonly port: number }, trust: ClientTrust): TLSSocket {
  return tlsConnect({ host: address.host, port: address.port, ...clientOptions(trust) });
}

function clientContext(trust: ClientTrust): SecureContextOptions {
  switch (trust.kind) {
    case 'member':
      return contextOptions(trust.identity());
    case 'pinned':
      return { ...PROTOCOL, ca: trust.rootsPem };
    case 'unverified':
      return PROTOCOL;
  }
}

function checkPeer(certificate: Buffer, expect: PeerExpectation): Error | undefined {
  let problem: string;
  try {
    const found = certifiedIdentity(parseCertificate(certificate, "peer's certificate"));
    if (found.role !== expect.role) problem = `the peer is a ${found.role}, not a ${expect.role}`;
    else if (expect.clusterId !== undefined && found.clusterId !== expect.clusterId)
      problem = `the peer belongs to cluster ${found.clusterId}, not ${expect.clusterId}`;
    else if (expect.nodeId !== undefined && found.nodeId !== expect.nodeId)
      problem = `the peer is node ${found.nodeId}, not ${expect.nodeId}`;
    else return undefined;
  } catch (error) {
    return SwarmError.from(error);
  }
  return new SwarmError({ code: 'unauthenticated', reason: 'bad-certificate', message: problem });
}
