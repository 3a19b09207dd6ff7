import type { Message } from 'raft-ts';
import type { SwarmError } from '#common/errors.ts';
import type { RaftMember } from '#gen/swarm/v1/raft.ts';

/**
 * How messages of the log travel to the other managers: a seam, with gRPC streams behind it in the daemon and a seeded
 * network in the simulator. Nothing in it waits or throws: what cannot be sent is dropped, as Raft allows.
 */
export interface PeerTransport {
  /** From now on messages come to the handler. Called once, before anything else. */
  start(handler: PeerHandler): void;

  /** The others, as the configuration names them now. Streams to those not named are closed. */
  setPeers(peers: readonly RaftMember[]): void;

  /** Queues the message for the peer that it names; dropped when the queue is full or the peer unknown. */
  send(message: Message): void;

  /**
   * Streams a snapshot to the peer that the MsgSnap names. Resolves when it is durable there; rejects when a chunk is
   * not taken within its deadline, or the peer refuses it.
   */
  sendSnapshot(message: Message, chunks: AsyncIterable<Uint8Array>): Promise<void>;

  /** Whether the stream to the peer stands, and when anything was last heard of it (monotonic clock). */
  peer(raftId: number): PeerState | undefined;

  close(): Promise<void>;
}

export interface PeerState {
  readonly connected: boolean;
  readonly lastHeardMs: number;
  /** Smoothed round trip; undefined before the first. */
  readonly roundTripMs: number | undefined;
  /** Why the last attempt to connect failed. */
  readonly error: SwarmError | undefined;
}

/** What the log does with what the transport hears. Methods are quick; only `snapshot` waits. */
export interface PeerHandler {
  /** This manager as a member, for the hello of its own streams; undefined as long as it is none. */
  self(): RaftMember | undefined;

  /**
   * A peer opened a stream to this manager. Returns who this is, or why the stream is refused. The caller's
   * certificate named `nodeId`.
   */
  hello(hello: { readonly from: RaftMember; readonly to: number }, nodeId: string): RaftMember | SwarmError;

  /** Whether the log names the node as that member, as far as it is applied here. */
  isNamed(raftId: number, nodeId: string): boolean;

  /** Who said hello as that member may not speak any more, and the log does not name it. */
  forget(raftId: number): void;

  /** Messages of the peer that said hello as `from`, in order. Those that name another sender are to be dropped. */
  messages(from: number, messages: readonly Message[]): void;

  /** A snapshot comes in; resolves when it is durable here. */
  snapshot(from: number, message: Message, chunks: AsyncIterable<Uint8Array>): Promise<void>;

  /** A message to the peer was lost: its stream broke, or its queue overflowed. */
  unreachable(raftId: number): void;

  /** The peer's process is gone: its stream ended, and its port refuses connections. */
  gone(raftId: number): void;

  /** The peer told this manager that it was removed from the cluster, or that the peer is another member. */
  refused(raftId: number, error: SwarmError): void;

  /** The stream to or from the peer began or ended. */
  changed(raftId: number): void;
}
