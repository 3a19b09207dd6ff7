import type { Message } from 'raft-ts';
import { connectNode, type TlsIdentity } from '#certs/tls.ts';
import type { Clock } from '#common/clock.ts';
import { assert, SwarmError } from '#common/errors.ts';
import { parseHostPort } from '#common/host-port.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { systemRandom } from '#common/system/random.ts';
import type {
  ExchangeRequest,
  ExchangeResponse,
  RaftMember,
  SendSnapshotRequest,
  SendSnapshotResponse,
} from '#gen/swarm/v1/raft.ts';
import { Http2Transport } from '#proto/grpc/http2-transport.ts';
import type { ResponseStream } from '#proto/grpc/methods.ts';
import type { Transport } from '#proto/grpc/transport.ts';
import type { PeerHandler, PeerState, PeerTransport } from '../peer-transport.ts';
import { DEFAULT_PEER_TRANSPORT_CONFIG, type PeerTransportConfig } from './config.ts';
import { IncomingStreams } from './incoming-streams.ts';
import { travels } from './message-codec.ts';
import { PeerLink } from './peer-link.ts';
import { SnapshotReceiver } from './snapshot-receiver.ts';
import { sendSnapshot } from './snapshot-sender.ts';

export interface GrpcPeerTransportOptions {
  /** What this manager shows and trusts; asked at every new connection. */
  readonly tls: () => TlsIdentity;
  readonly clusterId: string;
  readonly logger: Logger;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  readonly config?: Partial<PeerTransportConfig> | undefined;
}

/** A snapshot that comes in, of which each member sends one at a time. */
interface IncomingSnapshot {
  readonly receiver: SnapshotReceiver;
  /** Resolves when its handler has returned. */
  readonly done: Promise<void>;
}

/**
 * Messages of the log over gRPC and mutual TLS. One stream to each peer, opened again when it is lost; snapshots go over
 * connections of their own, so that they do not delay messages. The server side is `raftHandlers`.
 */
export class GrpcPeerTransport implements PeerTransport {
  readonly #options: GrpcPeerTransportOptions;
  readonly #config: PeerTransportConfig;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #links = new Map<number, PeerLink>();
  readonly #outgoingSnapshots = new Map<number, Transport>();
  readonly #incomingSnapshots = new Map<number, IncomingSnapshot>();
  #handler: PeerHandler | undefined;
  #incoming: IncomingStreams | undefined;
  #closed: SwarmError | undefined;

  constructor(options: GrpcPeerTransportOptions) {
    this.#options = options;
    this.#config = { ...DEFAULT_PEER_TRANSPORT_CONFIG, ...options.config };
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger.with({ part: 'raft-transport' });
  }

  start(handler: PeerHandler): void {
    assert(this.#handler === undefined, 'the transport is started once');
    this.#handler = handler;
    this.#incoming = new IncomingStreams({
      handler,
      config: this.#config,
      clock: this.#clock,
      logger: this.#logger,
      heard: (raftId) => this.#links.get(raftId)?.heard(),
      arrived: (raftId) => this.#links.get(raftId)?.retryNow(),
    });
  }

  setPeers(peers: readonly RaftMember[]): void {
    const handler = this.#handler;
    assert(handler !== undefined, 'the transport is started before it gets peers');
    if (this.#closed !== undefined) return;
    const wanted = new Map(peers.map((peer) => [peer.raftId, peer]));
    for (const [raftId, link] of this.#links) {
      const peer = wanted.get(raftId);
      if (peer?.address === link.peer.address && peer.nodeId === link.peer.nodeId) continue;
      this.#links.delete(raftId);
      link.close(noPeer(raftId));
      if (peer === undefined) this.#outgoingSnapshots.get(raftId)?.close();
    }
    for (const peer of peers) {
      if (this.#links.has(peer.raftId)) continue;
      const link = new PeerLink(peer, {
        handler,
        connect: (to) => this.#connect(to),
        config: this.#config,
        clock: this.#clock,
        random: this.#options.random ?? systemRandom,
        logger: this.#logger,
      });
      this.#links.set(peer.raftId, link);
      link.start();
    }
    this.#incoming?.review((raftId) => wanted.has(raftId));
  }

  send(message: Message): void {
    if (travels(message.type)) this.#links.get(message.to)?.send(message);
    else this.#logger.error('a message that does not travel was to be sent', { type: message.type });
  }

  async sendSnapshot(message: Message, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    if (this.#closed !== undefined) throw this.#closed;
    const peer = this.#links.get(message.to)?.peer;
    if (peer === undefined) throw noPeer(message.to);
    if (this.#outgoingSnapshots.has(message.to))
      throw new SwarmError({
        code: 'precondition',
        reason: 'in-use',
        message: `a snapshot is on its way to member ${message.to} already`,
      });
    const transport = this.#connect(peer);
    this.#outgoingSnapshots.set(message.to, transport);
    try {
      await sendSnapshot(message, chunks, transport, this.#config, this.#clock);
    } finally {
      this.#outgoingSnapshots.delete(message.to);
      transport.close();
    }
  }

  peer(raftId: number): PeerState | undefined {
    return this.#links.get(raftId)?.state();
  }

  close(): Promise<void> {
    if (this.#closed === undefined) {
      const error = closing();
      this.#closed = error;
      for (const link of this.#links.values()) link.close(error);
      this.#links.clear();
      this.#incoming?.stopAll(error);
      for (const transport of this.#outgoingSnapshots.values()) transport.close();
      for (const { receiver } of this.#incomingSnapshots.values()) receiver.stop(error);
    }
    return Promise.all([...this.#incomingSnapshots.values()].map(({ done }) => done)).then(() => {});
  }

  /**
   * Serves a stream that the node has opened; rejects with what it is told. `strangerProblem` is asked when the node
   * speaks for a member that is no peer (yet).
   */
  serveExchange(
    requests: AsyncIterable<ExchangeRequest>,
    responses: ResponseStream<ExchangeResponse>,
    nodeId: string,
    strangerProblem: () => SwarmError | undefined,
  ): Promise<void> {
    const incoming = this.#incoming;
    if (this.#closed !== undefined || incoming === undefined) return Promise.reject(this.#closed ?? notReady());
    return incoming.serve(requests, responses, nodeId, strangerProblem);
  }

  /**
   * Nodes have been removed or demoted: ends what those of them say whom the log does not name. Whom it names it judges
   * itself; see `setPeers`.
   */
  reviewStrangers(): void {
    for (const raftId of this.#incoming?.reviewStrangers() ?? []) {
      this.#incomingSnapshots.get(raftId)?.receiver.stop(noPeer(raftId));
      this.#handler?.forget(raftId);
      this.#handler?.changed(raftId);
    }
  }

  /** Takes a snapshot from the node; resolves when it is durable here. */
  async serveSnapshot(requests: AsyncIterable<SendSnapshotRequest>, nodeId: string): Promise<SendSnapshotResponse> {
    const handler = this.#handler;
    if (this.#closed !== undefined || handler === undefined) throw this.#closed ?? notReady();
    const receiver = new SnapshotReceiver(requests, this.#config, this.#clock);
    const message = await receiver.header();
    const { from } = message;
    const speaker = this.#incoming?.nodeOf(from) ?? this.#links.get(from)?.peer.nodeId;
    if (speaker !== nodeId || message.to !== handler.self()?.raftId) throw wrongMember(from, message.to);
    const before = this.#incomingSnapshots.get(from);
    // Who sends again has given up the one before.
    before?.receiver.stop(anotherSnapshot(from));
    const work = (before?.done ?? Promise.resolve()).then(() => {
      if (this.#closed !== undefined) throw this.#closed;
      return handler.snapshot(from, message, receiver.chunks());
    });
    const entry: IncomingSnapshot = { receiver, done: work.catch(() => {}) };
    this.#incomingSnapshots.set(from, entry);
    try {
      await work;
    } finally {
      if (this.#incomingSnapshots.get(from) === entry) this.#incomingSnapshots.delete(from);
    }
    return {};
  }

  /** A connection of its own; made when it is first used. */
  #connect(peer: RaftMember): Transport {
    const address = parseHostPort(peer.address, 0);
    if (address === undefined || address.port === 0)
      throw new SwarmError({
        code: 'invalid',
        reason: 'bad-field',
        field: 'address',
        message: `manager ${peer.nodeId} has an address without a host or port: ${peer.address}`,
      });
    const { tls, clusterId } = this.#options;
    const expect = { role: 'manager', clusterId, nodeId: peer.nodeId } as const;
    return new Http2Transport({
      target: { kind: 'address', name: peer.address },
      connect: () => connectNode(address, { kind: 'member', identity: tls, expect }),
      scheme: 'https',
    });
  }
}

function noPeer(raftId: number): SwarmError {
  return new SwarmError({
    code: 'cancelled',
    reason: 'cancelled',
    message: `member ${raftId} is not one that this manager talks to`,
  });
}

function closing(): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'shutting-down',
    message: 'the manager is shutting down',
  });
}

function notReady(): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'connection-failed',
    message: 'the log of this manager is not running yet',
  });
}

function wrongMember(from: number, to: number): SwarmError {
  return new SwarmError({
    code: 'denied',
    reason: 'wrong-member',
    message: `a snapshot from member ${from} to member ${to} does not belong here`,
  });
}

function anotherSnapshot(from: number): SwarmError {
  return new SwarmError({
    code: 'cancelled',
    reason: 'cancelled',
    message: `member ${from} has begun to send another snapshot`,
  });
}
