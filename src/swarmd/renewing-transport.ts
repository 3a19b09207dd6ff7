/** Calls to one address as this node, which may have another certificate meanwhile. */
import { type ClientTrust, NodeChannelCredentials, type TlsIdentity } from '#certs/tls.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import type { RawCall, RawCallOptions, Target, Transport } from '#proto/grpc/transport.ts';

export type MemberTrust = ClientTrust & { readonly kind: 'member' };

/** A connection and the identity that it was made with. */
interface Connection {
  readonly shown: TlsIdentity;
  readonly transport: GrpcTransport;
  readonly credentials: NodeChannelCredentials;
}

/**
 * A connection shows the certificate that it was made with as long as it lives, and calls on it are refused once that
 * has run out. So calls that begin after a renewal go over a new connection; what is open on the old one lives on, and
 * the connection ends with the last of it.
 */
export class RenewingTransport implements Transport {
  readonly target: Target;
  readonly #trust: MemberTrust;
  #connection: Connection | undefined;
  /** Those of before, on which streams are open. */
  readonly #retired = new Set<GrpcTransport>();
  #closed = false;

  constructor(address: string, trust: MemberTrust) {
    this.target = { kind: 'address', name: address };
    this.#trust = trust;
  }

  connected(timeoutMs: number): Promise<void> {
    return this.#current().connected(timeoutMs);
  }

  /** Whether the other host has taken a connection, whatever has become of it. */
  get hasReached(): boolean {
    return this.#connection?.credentials.hasReached === true;
  }

  unary(
    path: string,
    message: Uint8Array,
    options: RawCallOptions & { readonly signal: AbortSignal | undefined },
  ): Promise<Uint8Array> {
    return this.#current().unary(path, message, options);
  }

  open(path: string, options: RawCallOptions): RawCall {
    return this.#current().open(path, options);
  }

  close(): void {
    this.#closed = true;
    this.#connection?.transport.close();
    for (const transport of this.#retired) transport.close();
    this.#retired.clear();
  }

  #current(): GrpcTransport {
    const shown = this.#trust.identity();
    const before = this.#connection;
    if (before !== undefined && (before.shown === shown || this.#closed)) return before.transport;
    if (before !== undefined) this.#retire(before.transport);
    const credentials = new NodeChannelCredentials(this.#trust);
    const transport = new GrpcTransport({ target: this.target, credentials });
    this.#connection = { shown, transport, credentials };
    if (this.#closed) transport.close();
    return transport;
  }

  #retire(transport: GrpcTransport): void {
    this.#retired.add(transport);
    transport.closeWhenIdle(() => this.#retired.delete(transport));
  }
}
