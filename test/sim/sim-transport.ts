import type { Message } from 'raft-ts';
import { SwarmError } from '#common/errors.ts';
import type { RaftMember } from '#gen/swarm/v1/raft.ts';
import type { PeerHandler, PeerState, PeerTransport } from '#manager/raft/index.ts';
import { connectionError, isSameMember, type Listener, type SimNetwork } from './sim-network.ts';
import type { SimProcess } from './sim-process.ts';
import { sendSnapshotInChunks } from './sim-snapshot.ts';

/** An attempt to connect that is not answered is given up. */
const CONNECT_TIMEOUT_MS = 1500;
/** Between attempts. */
const RECONNECT_MS = 200;
/** A peer that said it does not want this member is asked again. */
const REFUSED_RETRY_MS = 5000;
/** A stream over which nothing can come through is noticed after this. */
const SILENCE_MS = 3000;
const WATCH_MS = 500;

/** The stream to one peer. */
interface Link {
  readonly peer: RaftMember;
  state: 'connecting' | 'open' | 'closed';
  /** Attempts and streams by their number: what belongs to an earlier one is not heard any more. */
  attempt: number;
  /** Who is at the other end while it is open. */
  listener: Listener | undefined;
  lastHeardMs: number;
  silentSinceMs: number | undefined;
  lastArrivalMs: number;
  error: SwarmError | undefined;
}

/** The streams of one process to the others, over the simulated network. */
export class SimTransport implements PeerTransport {
  readonly #network: SimNetwork;
  readonly #process: SimProcess;
  readonly #machine: string;
  readonly #nodeId: string;
  readonly #address: () => string;
  readonly #links = new Map<number, Link>();
  #handler: PeerHandler | undefined;
  #isClosed = false;

  constructor(network: SimNetwork, process: SimProcess, machine: string, nodeId: string, address: () => string) {
    this.#network = network;
    this.#process = process;
    this.#machine = machine;
    this.#nodeId = nodeId;
    this.#address = address;
  }

  start(handler: PeerHandler): void {
    this.#handler = handler;
    this.#network.listen(this.#address(), {
      machine: this.#machine,
      process: this.#process,
      nodeId: this.#nodeId,
      handler: {
        ...bound(handler),
        messages: (from, messages) => {
          const link = this.#links.get(from);
          if (link !== undefined) link.lastHeardMs = this.#process.clock.monotonic();
          handler.messages(from, messages);
        },
      },
    });
  }

  setPeers(peers: readonly RaftMember[]): void {
    if (this.#isClosed) return;
    for (const [raftId, link] of this.#links)
      if (!peers.some((peer) => isSameMember(peer, link.peer))) {
        link.state = 'closed';
        link.attempt++;
        this.#links.delete(raftId);
      }
    for (const peer of peers) {
      if (this.#links.has(peer.raftId)) continue;
      const link: Link = {
        ...{ peer, state: 'closed', attempt: 0, listener: undefined, lastHeardMs: 0, silentSinceMs: undefined },
        ...{ lastArrivalMs: 0, error: undefined },
      };
      this.#links.set(peer.raftId, link);
      this.#process.nextTurn(() => this.#connect(link));
    }
  }

  send(message: Message): void {
    const link = this.#links.get(message.to);
    if (link?.state !== 'open' || this.#isClosed) return;
    const { listener, attempt } = link;
    if (listener === undefined) return;
    this.#network.sending(message);
    if (this.#network.isLost()) {
      this.#network.traceMessage('lost', message);
      if (this.#network.options.isUnordered) {
        if (this.#network.isNoticed()) this.#process.after(1, () => this.#handler?.unreachable(message.to));
      } else this.#process.nextTurn(() => this.#break(link, attempt, 'the stream broke'));
      return;
    }
    for (let copies = this.#network.isRepeated() ? 2 : 1; copies > 0; copies--) this.#deliver(link, listener, message);
  }

  async sendSnapshot(message: Message, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const link = this.#links.get(message.to);
    const listener = link?.listener;
    if (link?.state !== 'open' || listener === undefined) throw connectionError('there is no stream to the peer');
    this.#network.traceMessage('streams', message);
    const isWhole = (): boolean => listener.process.isAlive && !this.#isCut(listener);
    await sendSnapshotInChunks(this.#network, this.#process, listener, isWhole, message, chunks);
  }

  peer(raftId: number): PeerState | undefined {
    const link = this.#links.get(raftId);
    if (link === undefined) return undefined;
    const connected = link.state === 'open';
    return { connected, lastHeardMs: link.lastHeardMs, roundTripMs: connected ? 1 : undefined, error: link.error };
  }

  close(): Promise<void> {
    this.#isClosed = true;
    for (const link of this.#links.values()) {
      link.state = 'closed';
      link.attempt++;
    }
    this.#links.clear();
    this.#network.stopListening(this.#address(), this.#process);
    return Promise.resolve();
  }

  #isCut({ machine }: Listener): boolean {
    return this.#network.isCut(this.#machine, machine) || this.#network.isCut(machine, this.#machine);
  }

  #deliver(link: Link, listener: Listener, message: Message): void {
    const { time, options } = this.#network;
    const { attempt } = link;
    let arrivesMs = time.nowMs + this.#network.delayMs();
    if (!options.isUnordered) arrivesMs = Math.max(arrivesMs, link.lastArrivalMs);
    link.lastArrivalMs = arrivesMs;
    listener.process.after(arrivesMs - time.nowMs, () => {
      // A stream that has ended delivers nothing; the network's own messages may come at any time.
      if (!options.isUnordered && (link.attempt !== attempt || link.state !== 'open')) return;
      if (this.#network.isCut(this.#machine, listener.machine)) return;
      this.#network.delivered++;
      this.#network.traceMessage('delivers', message);
      listener.handler.messages(message.from, [message]);
    });
  }

  #connect(link: Link): void {
    const handler = this.#handler;
    if (this.#isClosed || handler === undefined || this.#links.get(link.peer.raftId) !== link) return;
    const attempt = ++link.attempt;
    const from = handler.self();
    if (from === undefined) {
      this.#process.after(RECONNECT_MS, () => this.#retry(link, attempt));
      return;
    }
    link.state = 'connecting';
    const listener = this.#network.listener(link.peer.address);
    const delayMs = this.#network.delayMs();
    if (listener === undefined) {
      this.#process.after(delayMs, () => this.#refusedConnection(link, attempt));
      return;
    }
    this.#process.after(CONNECT_TIMEOUT_MS, () => {
      if (link.attempt !== attempt || link.state !== 'connecting') return;
      link.error = connectionError('no answer');
      this.#retry(link, attempt);
    });
    if (this.#isCut(listener)) return;
    listener.process.after(delayMs, () => {
      const answer = listener.handler.hello({ from, to: link.peer.raftId }, this.#nodeId);
      this.#process.after(this.#network.delayMs(), () => this.#answered(link, attempt, listener, answer));
    });
  }

  #answered(link: Link, attempt: number, listener: Listener, answer: RaftMember | SwarmError): void {
    if (link.attempt !== attempt || link.state !== 'connecting' || this.#isCut(listener)) return;
    const { raftId } = link.peer;
    if (answer instanceof SwarmError) {
      link.state = 'closed';
      link.error = answer;
      this.#network.trace(() => `${this.#process.name} is refused by ${listener.process.name}: ${answer.reason}`);
      this.#process.after(REFUSED_RETRY_MS, () => this.#retry(link, attempt));
      this.#handler?.refused(raftId, answer);
      return;
    }
    link.state = 'open';
    link.listener = listener;
    link.error = undefined;
    link.silentSinceMs = undefined;
    link.lastHeardMs = this.#process.clock.monotonic();
    this.#watch(link, attempt);
    this.#handler?.changed(raftId);
    listener.process.after(this.#network.delayMs(), () => listener.handler.changed(this.#handler?.self()?.raftId ?? 0));
  }

  /** Sees that the other end is gone, or that nothing comes through any more. */
  #watch(link: Link, attempt: number): void {
    this.#process.after(link.listener?.process.isAlive === true ? WATCH_MS : 1, () => {
      const { listener } = link;
      if (link.attempt !== attempt || link.state !== 'open' || listener === undefined) return;
      if (!listener.process.isAlive) {
        this.#break(link, attempt, 'the stream ended');
        return;
      }
      const now = this.#network.time.nowMs;
      if (this.#isCut(listener) || listener.process.isPaused) link.silentSinceMs ??= now;
      else link.silentSinceMs = undefined;
      if (link.silentSinceMs !== undefined && now - link.silentSinceMs >= SILENCE_MS)
        this.#break(link, attempt, 'nothing came through');
      else {
        if (link.silentSinceMs === undefined) this.#review(link, attempt, listener);
        this.#watch(link, attempt);
      }
    });
  }

  /** The other end asks itself again whether the stream is welcome: a member that was removed must be told. */
  #review(link: Link, attempt: number, listener: Listener): void {
    const from = this.#handler?.self();
    if (from === undefined) return;
    listener.process.after(this.#network.delayMs(), () => {
      const answer = listener.handler.hello({ from, to: link.peer.raftId }, this.#nodeId);
      if (!(answer instanceof SwarmError)) return;
      this.#process.after(this.#network.delayMs(), () => {
        if (link.attempt !== attempt || link.state !== 'open' || this.#isCut(listener)) return;
        link.state = 'connecting';
        this.#answered(link, attempt, listener, answer);
      });
    });
  }

  #break(link: Link, attempt: number, why: string): void {
    if (link.attempt !== attempt || link.state !== 'open') return;
    const { raftId } = link.peer;
    this.#network.trace(() => `${this.#process.name} loses its stream to ${raftId}: ${why}`);
    link.state = 'closed';
    link.error = connectionError(why);
    const wasAlive = link.listener?.process.isAlive === true;
    link.listener = undefined;
    this.#handler?.unreachable(raftId);
    this.#handler?.changed(raftId);
    // The first attempt after a loss is made at once: it tells whether the process is gone.
    this.#process.after(wasAlive ? RECONNECT_MS : 1, () => {
      if (link.attempt === attempt) this.#connect(link);
    });
    if (!wasAlive && this.#network.listener(link.peer.address) === undefined)
      this.#process.after(2, () => {
        if (this.#links.get(raftId) === link && link.state !== 'open') this.#handler?.gone(raftId);
      });
  }

  #refusedConnection(link: Link, attempt: number): void {
    if (link.attempt !== attempt) return;
    link.error = connectionError('the connection is refused');
    this.#process.after(RECONNECT_MS, () => this.#retry(link, attempt));
  }

  #retry(link: Link, attempt: number): void {
    if (link.attempt === attempt && link.state !== 'open') this.#connect(link);
  }
}

function bound(handler: PeerHandler): PeerHandler {
  return {
    self: () => handler.self(),
    hello: (hello, nodeId) => handler.hello(hello, nodeId),
    isNamed: (raftId, nodeId) => handler.isNamed(raftId, nodeId),
    forget: (raftId) => handler.forget(raftId),
    messages: (from, messages) => handler.messages(from, messages),
    snapshot: (from, message, chunks) => handler.snapshot(from, message, chunks),
    unreachable: (raftId) => handler.unreachable(raftId),
    gone: (raftId) => handler.gone(raftId),
    refused: (raftId, error) => handler.refused(raftId, error),
    changed: (raftId) => handler.changed(raftId),
  };
}
