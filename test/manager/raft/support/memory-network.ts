import type { Message } from 'raft-ts';
import { SwarmError } from '#common/errors.ts';
import type { RaftMember } from '#gen/swarm/v1/raft.ts';
import type { PeerHandler, PeerState, PeerTransport } from '#manager/raft/index.ts';

/**
 * A network in memory: streams between members stand as soon as both ends are there and the link is not cut, messages
 * arrive in a later turn of the event loop, in order. A process that goes away is told to its peers, as a port that
 * refuses connections would.
 */
export class MemoryNetwork {
  readonly #ends = new Map<string, NetworkEnd>();
  readonly #cut = new Set<string>();
  /** Whether a message arrives; changed by tests. */
  passes: (from: number, to: number, message: Message) => boolean = () => true;
  snapshotsSent = 0;

  transport(address: string): NetworkEnd {
    return new NetworkEnd(this, address);
  }

  /** What the first sends does not reach the second any more. */
  cutOneWay(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`);
    this.#ends.get(from)?.reconsider();
    this.#ends.get(to)?.reconsider();
  }

  /** Cuts one off from all others. */
  isolate(address: string): void {
    for (const other of this.#ends.keys()) {
      if (other === address) continue;
      this.cutOneWay(address, other);
      this.cutOneWay(other, address);
    }
  }

  heal(): void {
    this.#cut.clear();
    for (const end of this.#ends.values()) end.reconsider();
  }

  isOpen(from: string, to: string): boolean {
    return !this.#cut.has(`${from}>${to}`);
  }

  end(address: string): NetworkEnd | undefined {
    return this.#ends.get(address);
  }

  /** Who is welcome at the address has changed. */
  review(address: string): void {
    for (const other of this.#ends.values()) other.review(address);
  }

  attach(end: NetworkEnd): void {
    this.#ends.set(end.address, end);
    for (const other of this.#ends.values()) other.reconsider();
  }

  detach(end: NetworkEnd): void {
    if (this.#ends.get(end.address) !== end) return;
    this.#ends.delete(end.address);
    for (const other of this.#ends.values()) other.lost(end.address);
  }
}

interface Stream {
  readonly peer: RaftMember;
  connected: boolean;
  error: SwarmError | undefined;
  lastHeardMs: number;
}

export class NetworkEnd implements PeerTransport {
  readonly #network: MemoryNetwork;
  readonly address: string;
  #handler: PeerHandler | undefined;
  #streams = new Map<number, Stream>();

  constructor(network: MemoryNetwork, address: string) {
    this.#network = network;
    this.address = address;
  }

  get handler(): PeerHandler | undefined {
    return this.#handler;
  }

  start(handler: PeerHandler): void {
    this.#handler = handler;
    this.#network.attach(this);
  }

  setPeers(peers: readonly RaftMember[]): void {
    const streams = new Map<number, Stream>();
    for (const peer of peers) {
      const before = this.#streams.get(peer.raftId);
      const same = before?.peer.address === peer.address;
      streams.set(peer.raftId, same ? before : { peer, connected: false, error: undefined, lastHeardMs: 0 });
    }
    // A hello sets the peers anew: only when somebody is gone is anybody asked again.
    const isGone = [...this.#streams.keys()].some((raftId) => !streams.has(raftId));
    this.#streams = streams;
    setImmediate(() => {
      this.reconsider();
      if (isGone) this.#network.review(this.address);
    });
  }

  /** Asks again whether streams to the address are welcome there: a member that was removed is told so. */
  review(address: string): void {
    for (const stream of this.#streams.values())
      if (stream.connected && stream.peer.address === address) this.#hello(stream);
  }

  /** Opens streams that can be opened, closes those that cannot stand. */
  reconsider(): void {
    for (const stream of this.#streams.values()) {
      const can = this.#canReach(stream.peer.address);
      if (stream.connected && !can) {
        stream.connected = false;
        this.#handler?.unreachable(stream.peer.raftId);
        this.#handler?.changed(stream.peer.raftId);
      } else if (!stream.connected && can) this.#hello(stream);
    }
  }

  send(message: Message): void {
    const stream = this.#streams.get(message.to);
    if (stream === undefined) return;
    if (!stream.connected) {
      this.#hello(stream);
      return;
    }
    setImmediate(() => {
      if (!this.#network.isOpen(this.address, stream.peer.address)) return;
      if (!this.#network.passes(message.from, message.to, message)) return;
      const other = this.#network.end(stream.peer.address);
      other?.received(message.from);
      other?.handler?.messages(message.from, [message]);
    });
  }

  async sendSnapshot(message: Message, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const stream = this.#streams.get(message.to);
    const other = stream === undefined ? undefined : this.#network.end(stream.peer.address);
    if (stream?.connected !== true || other?.handler === undefined)
      throw new SwarmError({ code: 'unavailable', reason: 'connection-failed', message: 'no stream' });
    this.#network.snapshotsSent++;
    await other.handler.snapshot(message.from, message, chunks);
  }

  peer(raftId: number): PeerState | undefined {
    const stream = this.#streams.get(raftId);
    if (stream === undefined) return undefined;
    const { connected, lastHeardMs, error } = stream;
    // As if pings went to and fro all the time.
    return { connected, lastHeardMs: connected ? performance.now() : lastHeardMs, roundTripMs: undefined, error };
  }

  async close(): Promise<void> {
    this.#network.detach(this);
    this.#handler = undefined;
    this.#streams.clear();
  }

  received(from: number): void {
    const stream = this.#streams.get(from);
    if (stream !== undefined) stream.lastHeardMs = performance.now();
  }

  /** The process behind an address is gone. */
  lost(address: string): void {
    for (const stream of this.#streams.values()) {
      if (stream.peer.address !== address) continue;
      stream.connected = false;
      setImmediate(() => {
        this.#handler?.unreachable(stream.peer.raftId);
        this.#handler?.gone(stream.peer.raftId);
        this.#handler?.changed(stream.peer.raftId);
      });
    }
  }

  #canReach(address: string): boolean {
    const { end } = { end: this.#network.end(address) };
    return (
      end?.handler !== undefined &&
      this.#network.isOpen(this.address, address) &&
      this.#network.isOpen(address, this.address)
    );
  }

  #hello(stream: Stream): void {
    const self = this.#handler?.self();
    const other = this.#network.end(stream.peer.address);
    if (self === undefined || other?.handler === undefined || !this.#canReach(stream.peer.address)) return;
    const answer = other.handler.hello({ from: self, to: stream.peer.raftId }, self.nodeId);
    if (answer instanceof SwarmError) {
      stream.connected = false;
      stream.error = answer;
      setTimeout(() => this.reconsider(), 10);
      if (answer.reason === 'node-removed' || answer.reason === 'wrong-member')
        setImmediate(() => this.#handler?.refused(stream.peer.raftId, answer));
      return;
    }
    stream.connected = true;
    stream.error = undefined;
    this.#handler?.changed(stream.peer.raftId);
  }
}
