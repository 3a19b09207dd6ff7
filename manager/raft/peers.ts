import type { RawNode } from 'raft-ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { RaftMember } from '#gen/swarm/v1/raft.ts';
import type { MembersBook } from './members-book.ts';
import type { PeerTransport } from './peer-transport.ts';

export interface PeersOptions {
  readonly transport: Pick<PeerTransport, 'peer' | 'setPeers'>;
  readonly book: MembersBook;
  readonly clock: Clock;
  /** This member as it is now, whatever the book says. */
  readonly self: () => RaftMember;
  /** A peer that is not heard of for this long is not reachable. */
  readonly silenceMs: number;
}

/** What the node says of itself. */
export type NodeView = Pick<RawNode, 'id' | 'lead' | 'state'>;

/** Strangers that are remembered; a real one becomes a member soon. */
const STRANGERS_MAX = 16;

/**
 * The other members as they show themselves: the book says who they are, their own words where they are now, and the
 * transport whether they can be reached.
 */
export class Peers {
  readonly #options: PeersOptions;
  /** What members said of themselves last, as far as it differs from the book; and peers that the book does not know yet. */
  readonly #claims = new Map<number, RaftMember>();
  readonly #heardMs = new Map<number, number>();
  #reachable = '';

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** Who this is, or why the peer is not let in. */
  hello(from: RaftMember, to: number, nodeId: string): RaftMember | SwarmError {
    const { book, self } = this.#options;
    const own = self();
    // First of all: who was away for long may know nobody but members that were removed as well, and joined anew.
    if (book.wasRemoved(from.raftId)) return removedError(from.address);
    if (to !== own.raftId) return refused('wrong-member', `this is member ${own.raftId} of the log, not member ${to}`);
    const known = book.member(from.raftId);
    if (from.nodeId !== nodeId || (known !== undefined && known.nodeId !== nodeId))
      return refused(
        'wrong-member',
        `member ${from.raftId} of the log is node ${known?.nodeId ?? from.nodeId}, not ${nodeId}`,
      );
    if (known === undefined ? this.#hasRoom(from.raftId) : differs(known, from)) this.#claims.set(from.raftId, from);
    else this.#claims.delete(from.raftId);
    this.update();
    return own;
  }

  /** Members that a joiner was told of, before it has a log that names them. */
  introduce(members: readonly RaftMember[]): void {
    for (const member of members) this.#claims.set(member.raftId, member);
  }

  /** Who said it was that member may not speak: what it said of itself is of no use. */
  forget(raftId: number): void {
    if (this.#options.book.member(raftId) === undefined && this.#claims.delete(raftId)) this.update();
  }

  /** The members have changed: streams to those that are gone end, others begin. */
  update(): void {
    const { book, transport, self } = this.#options;
    for (const [raftId, claim] of this.#claims) {
      const known = book.member(raftId);
      if (book.wasRemoved(raftId) || (known !== undefined && !differs(known, claim))) this.#claims.delete(raftId);
    }
    const own = self().raftId;
    const peers = new Map<number, RaftMember>();
    for (const member of book.members) peers.set(member.raftId, member);
    // Where a member says it is now goes before where the book knows it.
    for (const [raftId, claim] of this.#claims) peers.set(raftId, claim);
    peers.delete(own);
    transport.setPeers([...peers.values()]);
  }

  heard(raftId: number): void {
    this.#heardMs.set(raftId, this.#options.clock.monotonic());
  }

  /** How long nothing has come from a peer that was heard of. */
  silentMs(raftId: number): number {
    return this.#options.clock.monotonic() - (this.#heardMs.get(raftId) ?? 0);
  }

  /** A member, this one included, that says something else of itself than the book does. */
  claim(): RaftMember | undefined {
    const { book, self } = this.#options;
    const own = self();
    for (const claim of [own, ...this.#claims.values()]) {
      const known = book.member(claim.raftId);
      if (known !== undefined && differs(known, claim)) return claim;
    }
    return undefined;
  }

  /**
   * Whether the member can be spoken to. The stream must stand; and it must have been heard lately, since a paused process
   * and a broken wire leave streams as they are: of the log where the node hears from it all the time (the leader from
   * everybody, everybody from the leader), otherwise of the stream, which has signs of life several times in an election
   * timeout. Who was never heard is not reachable.
   */
  isReachable(raftId: number, node: NodeView): boolean {
    if (raftId === node.id) return true;
    const { transport, clock, silenceMs } = this.#options;
    const peer = transport.peer(raftId);
    if (peer?.connected !== true) return false;
    const heardMs = this.#heardMs.get(raftId) ?? -Infinity;
    const nowMs = clock.monotonic();
    if (node.state === 'StateLeader' || node.lead === raftId) return nowMs - heardMs < silenceMs;
    return nowMs - Math.max(heardMs, peer.lastHeardMs) < silenceMs;
  }

  /** Whether it has changed since the last call who can be reached. */
  hasReachabilityChanged(node: NodeView): boolean {
    const { book } = this.#options;
    const reachable = book.members.map(({ raftId }) => (this.isReachable(raftId, node) ? raftId : 0)).join(' ');
    const before = this.#reachable;
    this.#reachable = reachable;
    return before !== reachable;
  }

  #hasRoom(raftId: number): boolean {
    return this.#claims.has(raftId) || this.#claims.size < STRANGERS_MAX + this.#options.book.members.length;
  }
}

function differs(known: RaftMember, claim: RaftMember): boolean {
  return known.address !== claim.address || known.featureLevel !== claim.featureLevel;
}

function refused(reason: 'wrong-member', message: string): SwarmError {
  return new SwarmError({
    code: 'denied',
    reason,
    message,
    hint: 'a manager with another state directory may use this address; give each manager an address of its own',
  });
}

/** What a member that was removed is told. */
export function removedError(address: string): SwarmError {
  return new SwarmError({
    code: 'denied',
    reason: 'node-removed',
    message: `the manager ${address} was removed from the swarm's managers`,
    hint: 'promote the node again, or let it leave the swarm (`swarm leave --force`) and join with a new token',
  });
}
