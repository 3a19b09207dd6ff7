/** Connections of this node's agent to managers elsewhere: one per address, opened on first use. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LoadedIdentity } from '#agent/identity/index.ts';
import type { BrokerConnection } from '#agent/publisher/index.ts';
import type { DispatcherStream } from '#agent/session/index.ts';
import type { TlsIdentity } from '#certs/tls.ts';
import { ContainerService } from '#gen/swarm/v1/containers.ts';
import { DispatcherService, type SessionRequest, type SessionResponse } from '#gen/swarm/v1/dispatcher.ts';
import { LogBrokerService } from '#gen/swarm/v1/logs.ts';
import { createClient } from '#proto/grpc/client.ts';
import type { Client } from '#proto/grpc/methods.ts';
import { RenewingTransport } from './renewing-transport.ts';

export class ManagerConnections {
  readonly #clusterId: string;
  readonly #identity: () => TlsIdentity;
  /** Oldest first. Invariant: all of them worked when last used, or have not been used yet. */
  readonly #transports = new Map<string, RenewingTransport>();

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
      hasReached: async () => {
        await nextTurn(); // what has arrived while this process was busy counts: timers come before it
        return transport.hasReached;
      },
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
   * The node has another role. What it opened in the one before is not its to have any more, so all connections are made
   * anew, and the session with them. Another certificate of the same role needs nothing: see `RenewingTransport`.
   */
  roleChanged(): void {
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
    transport: RenewingTransport,
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

  #drop(address: string, transport: RenewingTransport): void {
    if (this.#transports.get(address) === transport) this.#transports.delete(address);
    transport.close();
  }

  #transport(address: string): RenewingTransport {
    let transport = this.#transports.get(address);
    if (transport === undefined) {
      const expect = { role: 'manager', clusterId: this.#clusterId } as const;
      transport = new RenewingTransport(address, { kind: 'member', identity: this.#identity, expect });
      this.#transports.set(address, transport);
    }
    return transport;
  }
}
