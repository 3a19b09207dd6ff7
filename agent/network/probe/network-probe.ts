/**
 * Tests the ways from this node to others on one network, and answers theirs: packets through the tunnel's device, as the
 * kernel of each node puts them there. Nothing is set up for it and nothing stays.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '#common/clock.ts';
import { sameBytes } from '#common/same-bytes.ts';
import { PathResult, ProbeKind } from '#gen/swarm/v1/doctor.ts';
import { hasErrno } from '../../kernel/libc.ts';
import { NetworkNamespace } from '../../kernel/netns.ts';
import { PacketSocket, type ReceivedFrame } from '../../kernel/packet-socket.ts';
import { nodeLinkAddress } from '../overlay/addressing.ts';
import type { ProbeConfig } from './config.ts';
import {
  kindsFor,
  LARGE_PARTS,
  PARTIAL_SIZE,
  PROBE_FILTER,
  type ProbeFrame,
  probeFrame,
  readProbe,
  type SeenProbe,
  SIZE_MIN,
} from './probe-frame.ts';

/** Where packets of a network leave this node, and for whom. */
export interface ProbePlace {
  /** Of the namespace with the tunnel's device. */
  readonly netnsPath: string;
  readonly linkIndex: number;
  /** Of this node in the cluster. */
  readonly nodeIndex: number;
  /** Nodes on the network, by id: number, and the largest packet to it. */
  readonly peers: ReadonlyMap<string, { readonly index: number; readonly mtu: number }>;
}

export interface NetworkProbeOptions {
  readonly place: ProbePlace;
  readonly checkId: Uint8Array;
  readonly config: ProbeConfig;
  readonly clock: Clock;
}

class Peer {
  readonly id: string;
  readonly index: number;
  readonly full: number;
  readonly sent = new Set<ProbeKind>();
  readonly answered = new Set<ProbeKind>();
  readonly heard = new Set<ProbeKind>();
  readonly damaged = new Set<ProbeKind>();
  largest = 0;
  roundTripMs = Number.POSITIVE_INFINITY;
  problem = '';
  answersLeft: number;

  constructor(id: string, index: number, full: number, answersLeft: number) {
    this.id = id;
    this.index = index;
    this.full = full;
    this.answersLeft = answersLeft;
  }

  get kinds(): readonly ProbeKind[] {
    return kindsFor(this.full);
  }

  get isDone(): boolean {
    return this.kinds.every((kind) => this.answered.has(kind));
  }

  /** Small packets pass and full ones do not, as far as can be told after a few attempts. */
  get needsSizes(): boolean {
    return this.answered.has(ProbeKind.SMALL) && !this.answered.has(ProbeKind.FULL);
  }

  result(): PathResult {
    return PathResult.create({
      peerId: this.id,
      sent: [...this.sent],
      answered: [...this.answered].filter((kind) => kind !== ProbeKind.SIZED),
      heard: [...this.heard].filter((kind) => kind !== ProbeKind.SIZED),
      damaged: [...this.damaged],
      largest: this.largest,
      full: this.full,
      roundTripUs: Number.isFinite(this.roundTripMs) ? Math.max(1, Math.round(this.roundTripMs * 1000)) : 0,
      problem: this.problem,
    });
  }
}

/** Rounds of packets before a lost one counts as more than bad luck. */
const ROUNDS_BEFORE_SIZES = 2;
/** Stretches of TCP that have come in part are remembered, so many of them. */
const PARTS_MAX = 256;

export class NetworkProbe {
  readonly #options: NetworkProbeOptions;
  readonly #peers = new Map<string, Peer>();
  readonly #byIndex = new Map<number, Peer>();
  /** When a question was sent (monotonic milliseconds), by its number. */
  readonly #sentAt = new Map<number, number>();
  /** Parts of stretches that have come, by who sent them and which it was. */
  readonly #parts = new Map<string, Set<number>>();
  #socket: PacketSocket | undefined;
  #sequence = 0;
  #wake: (() => void) | undefined;

  private constructor(options: NetworkProbeOptions) {
    this.#options = options;
    for (const [id, { index, mtu }] of options.place.peers) {
      const peer = new Peer(id, index, mtu, options.config.answersPerPeerMax);
      this.#peers.set(id, peer);
      this.#byIndex.set(index, peer);
    }
  }

  /** From now on the packets of others are answered, until `close`. Throws a KernelError when the device is not there. */
  static open(options: NetworkProbeOptions): NetworkProbe {
    const { place, config } = options;
    const probe = new NetworkProbe(options);
    const namespace = NetworkNamespace.open(place.netnsPath);
    try {
      probe.#socket = PacketSocket.open({
        namespace,
        linkIndex: place.linkIndex,
        filter: PROBE_FILTER,
        receiveBufferBytes: config.receiveBufferBytes,
        onFrame: (received) => probe.#received(received),
      });
    } finally {
      namespace.close();
    }
    return probe;
  }

  /** Sends to these nodes until all have answered everything, or the time is over. Those not on the network are left out. */
  async run(peerIds: readonly string[]): Promise<readonly PathResult[]> {
    const { clock, config } = this.#options;
    const targets = peerIds.flatMap((id) => this.#peers.get(id) ?? []);
    const endMs = clock.monotonic() + config.windowMs;
    for (let round = 0; ; round++) {
      await this.#sendRound(targets, round);
      const leftMs = endMs - clock.monotonic();
      if (leftMs <= 0 || (await this.#answersWithin(targets, Math.min(leftMs, config.retryMs)))) break;
    }
    return targets.map((peer) => peer.result());
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.#wake?.();
  }

  async #sendRound(targets: readonly Peer[], round: number): Promise<void> {
    let frames = 0;
    for (const peer of targets) {
      for (const [kind, size] of this.#due(peer, round)) {
        this.#ask(peer, kind, size);
        if (++frames % this.#options.config.framesPerTurn === 0) await nextTurn();
      }
    }
  }

  #due(peer: Peer, round: number): readonly (readonly [ProbeKind, number])[] {
    const due = peer.kinds
      .filter((kind) => !peer.answered.has(kind))
      .map((kind) => [kind, sizeOf(kind, peer.full)] as const);
    if (!peer.needsSizes || round < ROUNDS_BEFORE_SIZES) return due;
    const { sizeSteps } = this.#options.config;
    const low = Math.max(peer.largest, SIZE_MIN);
    const sizes = Array.from({ length: sizeSteps }, (_, step) =>
      Math.round(low + ((peer.full - low) * (step + 1)) / (sizeSteps + 1)),
    );
    return [...due, ...sizes.map((size) => [ProbeKind.SIZED, size] as const)];
  }

  #ask(peer: Peer, kind: ProbeKind, size: number): void {
    const { place, checkId, clock } = this.#options;
    this.#sequence = (this.#sequence + 1) & 0xffff;
    const sequence = this.#sequence;
    peer.sent.add(kind);
    this.#sentAt.set(sequence, clock.monotonic());
    const probe = { checkId, from: place.nodeIndex, to: peer.index, kind, isAnswer: false, sequence, size };
    this.#send(peer, probeFrame(probe, this.#addresses(peer)));
  }

  #addresses(peer: Peer): { readonly from: string; readonly to: string } {
    return { from: nodeLinkAddress(this.#options.place.nodeIndex), to: nodeLinkAddress(peer.index) };
  }

  #send(peer: Peer, { bytes, offload }: ProbeFrame): void {
    try {
      this.#socket?.send(bytes, offload);
    } catch (error) {
      // A full queue is a packet that is lost, and sent again.
      if (!hasErrno(error, 'ENOBUFS', 'EAGAIN')) peer.problem = error instanceof Error ? error.message : String(error);
    }
  }

  #received({ frame, checksumIsRight }: ReceivedFrame): void {
    const probe = readProbe(frame, checksumIsRight);
    const { place, checkId } = this.#options;
    if (probe === undefined || probe.to !== place.nodeIndex || !sameBytes(probe.checkId, checkId)) return;
    const peer = this.#byIndex.get(probe.from);
    if (peer === undefined) return;
    if (!probe.isIntact) {
      peer.damaged.add(probe.kind);
      return;
    }
    if (probe.kind === ProbeKind.LARGE && !this.#isWhole(probe)) return;
    if (probe.isAnswer) this.#answered(peer, probe);
    else this.#heard(peer, probe);
  }

  #heard(peer: Peer, probe: SeenProbe): void {
    peer.heard.add(probe.kind);
    if (peer.answersLeft <= 0 || probe.size > peer.full) return;
    peer.answersLeft--;
    const { checkId, kind, sequence, size } = probe;
    const answer = { checkId, from: probe.to, to: probe.from, kind, isAnswer: true, sequence, size };
    this.#send(peer, probeFrame(answer, this.#addresses(peer)));
  }

  #answered(peer: Peer, probe: SeenProbe): void {
    peer.answered.add(probe.kind);
    // Of a stretch, who knows whether anything on the way has cut it.
    if (probe.kind !== ProbeKind.LARGE) peer.largest = Math.max(peer.largest, probe.size);
    const sentAt = this.#sentAt.get(probe.sequence);
    if (sentAt !== undefined && probe.kind === ProbeKind.SMALL)
      peer.roundTripMs = Math.min(peer.roundTripMs, this.#options.clock.monotonic() - sentAt);
    if (peer.isDone) this.#wake?.();
  }

  /** Whether the last missing part of its stretch has come with it. */
  #isWhole({ from, isAnswer, sequence, parts }: SeenProbe): boolean {
    const key = `${from} ${isAnswer ? 'answer' : 'question'} ${sequence}`;
    const seen = this.#parts.get(key) ?? new Set();
    for (const part of parts) seen.add(part);
    const [oldest] = this.#parts.keys();
    if (this.#parts.size >= PARTS_MAX && oldest !== undefined) this.#parts.delete(oldest);
    this.#parts.set(key, seen);
    if (seen.size < LARGE_PARTS) return false;
    this.#parts.delete(key);
    return true;
  }

  /** Waits so long; true as soon as nothing is missing. */
  async #answersWithin(targets: readonly Peer[], waitMs: number): Promise<boolean> {
    const isOver = (): boolean => this.#socket === undefined || targets.every((peer) => peer.isDone);
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.setTimer(waitMs, resolve);
      this.#wake = () => {
        if (!isOver()) return;
        cancel();
        resolve();
      };
      this.#wake();
    });
    this.#wake = undefined;
    return isOver();
  }
}

function sizeOf(kind: ProbeKind, full: number): number {
  if (kind === ProbeKind.SMALL) return SIZE_MIN;
  return kind === ProbeKind.PARTIAL ? Math.min(PARTIAL_SIZE, full) : full;
}
