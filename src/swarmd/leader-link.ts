/** The connections from this manager to another, which leads or may come to. */
import { NodeChannelCredentials, type TlsIdentity } from '#certs/tls.ts';
import type { ManagerPeer } from '#gen/swarm/v1/objects.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';

export interface LinkIdentity {
  readonly clusterId: string;
  /** Asked at every new connection. */
  readonly tls: () => TlsIdentity;
}

export class LeaderLink {
  readonly peer: ManagerPeer;
  /** Streams have a connection of their own, so that many readers of logs cannot use up the streams of the writes. */
  readonly #transports: { unary: GrpcTransport | undefined; stream: GrpcTransport | undefined };
  readonly #identity: LinkIdentity;
  #closed = false;

  constructor(peer: ManagerPeer, identity: LinkIdentity) {
    this.peer = peer;
    this.#identity = identity;
    this.#transports = { unary: undefined, stream: undefined };
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Connects at the first call, to that very node as a manager of this cluster. */
  transport(kind: 'unary' | 'stream'): GrpcTransport {
    let transport = this.#transports[kind];
    if (transport === undefined) {
      const { nodeId, address } = this.peer;
      const { clusterId, tls } = this.#identity;
      transport = new GrpcTransport({
        target: { kind: 'address', name: address },
        credentials: new NodeChannelCredentials({
          kind: 'member',
          identity: tls,
          expect: { role: 'manager', clusterId, nodeId },
        }),
      });
      this.#transports[kind] = transport;
    }
    return transport;
  }

  /** Another manager leads. Unary calls may yet be answered. */
  endStreams(): void {
    this.#transports.stream?.close();
    this.#transports.stream = undefined;
  }

  /** Unary calls that are under way are answered yet; streams end. */
  close(): void {
    this.#closed = true;
    this.#transports.unary?.close();
    this.#transports.stream?.close();
  }
}
