import type { ChannelCredentials } from '@grpc/grpc-js';
import { peerIdentity } from '#certs/peer.ts';
import { type ClientTrust, NodeChannelCredentials, NodeServerCredentials } from '#certs/tls.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { services } from '#gen/services.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import { RpcServer } from '#proto/grpc/server.ts';
import { CLUSTER_ID, type TestNode } from '#test/certs/fixtures.ts';
import { everyMethod } from '#test/proto/support/every-method.ts';

/** A real server with mutual TLS and every method of the contract, and the connections that a test makes to it. */
export class TlsServer {
  readonly rpc: RpcServer;
  address = '';
  /** The node that is not part of the swarm any more. */
  removed: string | undefined;
  /** A manager's certificate whose node is a worker by now. */
  demoted: string | undefined;
  /** What reached its handler. */
  handled: CallContext[] = [];
  /** In place of the refusal that every handler ends with; set by a test whose calls are to stay open. */
  answer: ((context: CallContext) => Promise<never>) | undefined;
  readonly #manager: TestNode;
  readonly #open: GrpcTransport[] = [];

  constructor(manager: TestNode) {
    this.#manager = manager;
    this.rpc = new RpcServer({
      trust: {
        kind: 'certificate',
        identify: (call) => peerIdentity(call, Date.now()),
        clusterId: () => CLUSTER_ID,
        admit: ({ nodeId }) =>
          nodeId === this.removed
            ? new SwarmError({ code: 'denied', reason: 'node-removed', message: `node ${nodeId} was removed` })
            : undefined,
        roleOf: ({ nodeId, role }) => (nodeId === this.demoted ? 'worker' : role),
      },
      logger: silentLogger,
    });
    for (const service of Object.values(services))
      this.rpc.addService(
        service,
        everyMethod(service, (context) => this.#answer(context)),
      );
  }

  async listen(): Promise<void> {
    this.address = `127.0.0.1:${await this.rpc.listen('127.0.0.1:0', new NodeServerCredentials(this.#manager))}`;
  }

  reset(): void {
    this.removed = undefined;
    this.demoted = undefined;
    this.handled = [];
    this.answer = undefined;
  }

  /** A connection of the node, or of a caller without a certificate. */
  connect(node: TestNode | undefined, to = this.address): GrpcTransport {
    return this.connectWith(new NodeChannelCredentials(this.trustOf(node)), to);
  }

  connectWith(credentials: ChannelCredentials, to = this.address): GrpcTransport {
    const transport = new GrpcTransport({ target: { kind: 'address', name: to }, credentials });
    this.#open.push(transport);
    return transport;
  }

  trustOf(node: TestNode | undefined, rootsPem = this.#manager.rootsPem): ClientTrust {
    const expect = { role: 'manager' } as const;
    if (node === undefined) return { kind: 'pinned', rootsPem, expect };
    return { kind: 'member', identity: () => ({ ...node, rootsPem }), expect };
  }

  async close(): Promise<void> {
    for (const transport of this.#open) transport.close();
    await this.rpc.close(0);
  }

  async #answer(context: CallContext): Promise<never> {
    if (this.answer !== undefined) return this.answer(context);
    this.handled.push(context);
    throw new SwarmError({ code: 'not-found', reason: 'unknown-object', message: 'reached the handler' });
  }
}

/** Stays open until the call is ended. */
export function untilAborted({ signal }: CallContext): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(SwarmError.from(signal.reason)));
  });
}
