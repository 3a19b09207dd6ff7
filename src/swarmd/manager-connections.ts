/** Connections of this node's agent to managers elsewhere: one per address, opened on first use. */

import type { LoadedIdentity } from '#agent/identity/index.ts';
import type { BrokerConnection } from '#agent/publisher/index.ts';
import type { DispatcherStream } from '#agent/session/index.ts';
import { NodeChannelCredentials, type TlsIdentity } from '#certs/tls.ts';
import { DispatcherService, type SessionRequest } from '#gen/swarm/v1/dispatcher.ts';
import { LogBrokerService } from '#gen/swarm/v1/logs.ts';
import { createClient } from '#proto/grpc/client.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';

export class ManagerConnections {
  readonly #clusterId: string;
  readonly #identity: () => TlsIdentity;
  readonly #transports = new Map<string, GrpcTransport>();

  constructor(identity: LoadedIdentity, tls: () => TlsIdentity) {
    this.#clusterId = identity.identity.clusterId;
    this.#identity = tls;
  }

  session(address: string): DispatcherStream {
    // A session that is opened again wants a connection that is known to work, not the wait of a broken one.
    this.#drop(address);
    const call = createClient(DispatcherService, this.#transport(address)).session();
    return {
      send: (message: SessionRequest) => {
        call.write(message).catch(() => {}); // the end of the stream shows in its responses
      },
      responses: call,
      close: () => call.cancel(),
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

  close(): void {
    for (const transport of this.#transports.values()) transport.close();
    this.#transports.clear();
  }

  #drop(address: string): void {
    this.#transports.get(address)?.close();
    this.#transports.delete(address);
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
