/** Connections of this node's agent to managers elsewhere: one per address, opened on first use. */

import type { LoadedIdentity } from '#agent/identity/index.ts';
import type { BrokerConnection } from '#agent/publisher/index.ts';
import type { DispatcherStream } from '#agent/session/index.ts';
import { NodeChannelCredentials, type TlsIdentity } from '#certs/tls.ts';
import { ContainerService } from '#gen/swarm/v1/containers.ts';
import { DispatcherService, type SessionRequest, type SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import { LogBrokerService } from '#gen/swarm/v1/logs.ts';
import { createClient } from '#proto/grpc/client.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import type { Client } from '#proto/grpc/methods.ts';

export class ManagerConnections {
  readonly #clusterId: string;
  readonly #identity: () => TlsIdentity;
  /** Oldest first. Invariant: all of them worked when last used, or have not been used yet. */
  readonly #transports = new Map<string, GrpcTransport>();

  constructor(identity: LoadedIdentity, tls: () => TlsIdentity) {
    this.#clusterId = identity.identity.clusterId;
    this.#identity = tls;
  }

  session(address: string): DispatcherStream {
    const transport = this.#transport(address);
    const call = createClient(DispatcherService, transport).session();
    return {
      send: (message: SessionRequest) => {
        call.write(message).catch(() => {}); // the end of the stream shows in its responses
      },
      responses: this.#watched(address, transport, call),
      close: (connection) => {
        call.cancel();
        if (connection === 'broken') this.#drop(address, transport);
      },
    };
  }

  broker(address: string): BrokerConnection {
    const client = createClient(LogBrokerService, this.#transport(address));
    return {
      listen: (signal) => client.listenSubscriptions({}, { signal }),
      publish: async (messages, signal) => {
        await client.publishLogs(messages, { signal });
      },
    };
  }

  containers(address: string): Client<typeof ContainerService> {
    return createClient(ContainerService, this.#transport(address));
  }

  /**
   * The node has another certificate. A connection shows the old one as long as it lives, and calls on it are refused when
   * that expires or the role in it is not the node's any more; so all are made anew, and the session with them.
   */
  renewed(): void {
    this.close();
  }

  /** Ends what is open. */
  close(): void {
    for (const transport of this.#transports.values()) transport.close();
    this.#transports.clear();
  }

  /** A connection that failed is left: the next attempt begins with a new one, not with the wait of the old. */
  async *#watched(
    address: string,
    transport: GrpcTransport,
    responses: AsyncIterable<SessionResponse>,
  ): AsyncGenerator<SessionResponse> {
    try {
      for await (const response of responses) {
        if (response.message?.kind === 'welcome') this.#leaveOthers(address);
        yield response;
      }
    } catch (thrown) {
      this.#drop(address, transport);
      throw thrown;
    }
  }

  /** The session stands: connections to managers that were only asked for the leader are of no use. */
  #leaveOthers(address: string): void {
    for (const [other, transport] of this.#transports) if (other !== address) this.#drop(other, transport);
  }

  #drop(address: string, transport: GrpcTransport): void {
    if (this.#transports.get(address) === transport) this.#transports.delete(address);
    transport.close();
  }

  #transport(address: string): GrpcTransport {
    let transport = this.#transports.get(address);
    if (transport === undefined) {
      transport = new GrpcTransport({
        target: { kind: 'address', name: address },
        credentials: new NodeChannelCredentials({
          kind: 'member',
          identity: this.#identity,
          expect: { role: 'manager', clusterId: this.#clusterId },
        }),
      });
      this.#transports.set(address, transport);
    }
    return transport;
  }
}
