/** The connections from this manager to another, which leads or may come to. */
import type { TlsIdentity } from '#certs/tls.ts';
import type { ManagerPeer } from '#gen/swarm/v1/objects.ts';
import { RenewingTransport } from './renewing-transport.ts';

export interface LinkIdentity {
  readonly clusterId: string;
  /** Asked at every new connection. */
  readonly tls: () => TlsIdentity;
}

export class LeaderLink {
  readonly peer: ManagerPeer;
  /** Streams have a connection of their own, so that many readers of logs cannot use up the streams of the writes. */
  readonly #transports: { unary: RenewingTransport | undefined; stream: RenewingTransport | undefined };
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
  transport(kind: 'unary' | 'stream'): RenewingTransport {
    let transport = this.#transports[kind];
    if (transport === undefined) {
      const { nodeId, address } = this.peer;
      const { clusterId, tls } = this.#identity;
      const expect = { role: 'manager', clusterId, nodeId } as const;
      transport = new RenewingTransport(address, { kind: 'member', identity: tls, expect });
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
