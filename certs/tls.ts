/**
 * TLS between nodes: mutual, TLS 1.2 or later, forward secrecy and authenticated encryption only. The credentials are
 * grpc-js objects whose certificate can be replaced while they are in use: open connections live on, new ones use the
 * new certificate.
 */
import { constants } from 'node:crypto';
import {
  type ConnectionOptions,
  createSecureContext,
  type SecureContextOptions,
  type TLSSocket,
  connect as tlsConnect,
} from 'node:tls';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { parseCertificate } from './certificate.ts';
import { TLS_CIPHERS, TLS_CONFIG, TLS_CURVES } from './config.ts';
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

function contextOptions(identity: TlsIdentity): SecureContextOptions {
  return { ...PROTOCOL, ca: identity.rootsPem, cert: identity.certificatePem, key: identity.privateKeyPem };
}

/**
 * Server side. A client without a certificate is let in, since a joining node has none: every method must ask
 * `peerIdentity` who calls. A client with a certificate of another root counts as one without.
 */
export class NodeServerCredentials extends ServerCredentials {
  constructor(identity: TlsIdentity) {
    const options = contextOptions(identity);
    super(
      { requestCert: true, rejectUnauthorized: false, handshakeTimeout: TLS_CONFIG.handshakeTimeoutMs, ...options },
      options,
    );
  }

  /** Shows and trusts something else from the next connection on. */
  replace(identity: TlsIdentity): void {
    this.updateSecureContextOptions(contextOptions(identity));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
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

type Connector = ReturnType<ChannelCredentials['_createSecureConnector']>;
type ConnectorArguments = Parameters<ChannelCredentials['_createSecureConnector']>;

/** Client side. Give every peer whose node id is expected credentials of its own. */
export class NodeChannelCredentials extends ChannelCredentials {
  readonly #trust: ClientTrust;
  readonly #handshakeTimeoutMs: number;
  /** Gives grpc-js the parts of a connector that have nothing to do with certificates. */
  readonly #plain = ChannelCredentials.createInsecure();

  constructor(trust: ClientTrust, handshakeTimeoutMs: number = TLS_CONFIG.handshakeTimeoutMs) {
    super();
    this.#trust = trust;
    this.#handshakeTimeoutMs = handshakeTimeoutMs;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(...args: ConnectorArguments): Connector {
    const plain = this.#plain._createSecureConnector(...args);
    const trust = this.#trust;
    const timeoutMs = this.#handshakeTimeoutMs;
    const closed = new AbortController();
    return {
      connect: async (socket) => ({ socket: await secure(socket, trust, timeoutMs, closed.signal), secure: true }),
      waitForReady: () => plain.waitForReady(),
      getCallCredentials: () => plain.getCallCredentials(),
      destroy: () => {
        // The library forgets a connection that is still being made, which a silent peer would keep open for ever.
        closed.abort(new Error('the connection was closed during the TLS handshake'));
        plain.destroy();
      },
    };
  }
}

/** What TLS needs to know of the peer that a client is willing to talk to. */
function clientOptions(trust: ClientTrust): ConnectionOptions {
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

async function secure(
  socket: Parameters<Connector['connect']>[0],
  trust: ClientTrust,
  timeoutMs: number,
  closed: AbortSignal,
): Promise<TLSSocket> {
  closed.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const secured = tlsConnect({ socket, ...clientOptions(trust) });
  const lost = (): void => reject(new Error('the connection was closed during the TLS handshake'));
  const givenUp = (): void => reject(closed.reason);
  secured.once('error', reject);
  secured.once('close', lost);
  closed.addEventListener('abort', givenUp, { once: true });
  secured.once('secureConnect', () => resolve(secured));
  try {
    return await withDeadline(promise, timeoutMs, 'the TLS handshake');
  } catch (thrown) {
    secured.on('error', () => {}); // whatever it says now, the first error is what is told
    secured.destroy();
    throw thrown;
  } finally {
    secured.off('error', reject);
    secured.off('close', lost);
    closed.removeEventListener('abort', givenUp);
  }
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
