/**
 * TLS between nodes: mutual, TLS 1.2 or later, forward secrecy and authenticated encryption only. The credentials are
 * grpc-js objects whose certificate can be replaced while they are in use: open connections live on, new ones use the
 * new certificate.
 */
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import { withDeadline } from '#common/system/deadline.ts';
import { TLS_CONFIG } from './config.ts';
import { type ClientTrust, clientOptions, contextOptions, type TlsIdentity } from './tls-client.ts';

export { type ClientTrust, connectNode, type PeerExpectation, type TlsIdentity } from './tls-client.ts';

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

type Connector = ReturnType<ChannelCredentials['_createSecureConnector']>;
type ConnectorArguments = Parameters<ChannelCredentials['_createSecureConnector']>;

/** Client side. Give every peer whose node id is expected credentials of its own. */
export class NodeChannelCredentials extends ChannelCredentials {
  readonly #trust: ClientTrust;
  readonly #handshakeTimeoutMs: number;
  /** Gives grpc-js the parts of a connector that have nothing to do with certificates. */
  readonly #plain = ChannelCredentials.createInsecure();
  #hasReached = false;

  constructor(trust: ClientTrust, handshakeTimeoutMs: number = TLS_CONFIG.handshakeTimeoutMs) {
    super();
    this.#trust = trust;
    this.#handshakeTimeoutMs = handshakeTimeoutMs;
  }

  /** Whether a host was reached with these: its kernel has answered, the process there need not have. */
  get hasReached(): boolean {
    return this.#hasReached;
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
      connect: async (socket) => {
        this.#hasReached = true;
        return { socket: await secure(socket, trust, timeoutMs, closed.signal), secure: true };
      },
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
