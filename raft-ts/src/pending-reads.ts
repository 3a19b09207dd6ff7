import type { Message } from './message.ts';
import { type JointQuorum, jointCommittedIndex } from './quorum.ts';
import type { NodeId } from './types.ts';
import { getWord, putWord, WORD_BYTES } from './words.ts';

/** A read that waits for proof that its leader still leads. */
export interface PendingRead {
  /** The MsgReadIndex, from this node or another. */
  readonly request: Message;
  /** The commit index when the request came. */
  readonly index: number;
}

/**
 * Numbers the reads of one leader's term, from 1. A heartbeat carries "all reads up to position N"; an answer proves
 * that its sender still followed this leader when those reads were already waiting. A position is confirmed when a
 * quorum has answered it, which is the same computation as committing an index. Numbers of the leader's own, made anew
 * in every term, mean that no delayed answer to an older request can ever confirm a newer read.
 */
export class PendingReads {
  #waiting: PendingRead[] = [];
  /** Invariant: the position of #waiting[i] is #confirmed + i + 1. */
  #confirmed = 0;
  readonly #acknowledged = new Map<NodeId, number>();

  add(read: PendingRead): void {
    this.#waiting.push(read);
  }

  /** The position of the last read waiting; zero if none waits. */
  lastPosition(): number {
    return this.#waiting.length === 0 ? 0 : this.#confirmed + this.#waiting.length;
  }

  acknowledge(from: NodeId, position: number): void {
    if (position > (this.#acknowledged.get(from) ?? 0)) this.#acknowledged.set(from, position);
  }

  /** Takes out the reads that a quorum has confirmed. */
  confirmed(voters: JointQuorum): readonly PendingRead[] {
    const position = Math.min(
      jointCommittedIndex(voters, (id) => this.#acknowledged.get(id)),
      this.#confirmed + this.#waiting.length,
    );
    if (position <= this.#confirmed) return [];
    const done = this.#waiting.splice(0, position - this.#confirmed);
    this.#confirmed = position;
    return done;
  }
}

/** What a heartbeat carries and its answer brings back. */
export interface HeartbeatContext {
  /** All reads up to this position are waiting; zero for none. */
  readonly readPosition: number;
  /** The leader's tick when it was sent; zero without leases. */
  readonly tick: number;
}

/** The position in 8 bytes, the tick in 8 more where leases are used; nothing where there is nothing to say. */
export function encodeHeartbeatContext({ readPosition, tick }: HeartbeatContext): Uint8Array {
  const bytes = new Uint8Array(tick > 0 ? 2 * WORD_BYTES : readPosition > 0 ? WORD_BYTES : 0);
  if (bytes.length > 0) putWord(bytes, 0, readPosition);
  if (tick > 0) putWord(bytes, WORD_BYTES, tick);
  return bytes;
}

export function decodeHeartbeatContext(bytes: Uint8Array): HeartbeatContext {
  return {
    readPosition: bytes.length >= WORD_BYTES ? getWord(bytes, 0) : 0,
    tick: bytes.length >= 2 * WORD_BYTES ? getWord(bytes, WORD_BYTES) : 0,
  };
}
