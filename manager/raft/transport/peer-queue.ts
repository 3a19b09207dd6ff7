import type { Message, MessageType } from 'raft-ts';

/**
 * Types that overtake entries: those that elections hang on. A heartbeat that waited behind megabytes of entries would
 * come after the election that it is to prevent. Raft allows any order between messages.
 */
const URGENT: ReadonlySet<MessageType> = new Set<MessageType>([
  'MsgHeartbeat',
  'MsgHeartbeatResp',
  'MsgVote',
  'MsgVoteResp',
  'MsgPreVote',
  'MsgPreVoteResp',
  'MsgTimeoutNow',
]);

/** What a message or an entry takes beside its data, roughly. */
const OVERHEAD_BYTES = 32;

/** Messages that wait for one peer: the urgent ones first, each kind in its order. */
export class PeerQueue {
  readonly #urgent: Lane;
  readonly #ordinary: Lane;

  constructor(limits: { readonly queueMessages: number; readonly queueBytes: number }) {
    this.#urgent = new Lane(limits.queueMessages, limits.queueBytes);
    this.#ordinary = new Lane(limits.queueMessages, limits.queueBytes);
  }

  /** False when there is no room. */
  offer(message: Message): boolean {
    return (URGENT.has(message.type) ? this.#urgent : this.#ordinary).offer(message);
  }

  get isEmpty(): boolean {
    return this.#urgent.isEmpty && this.#ordinary.isEmpty;
  }

  /** The next messages, at least one if there are any, of about so many bytes. */
  take(bytesMax: number): Message[] {
    const taken: Message[] = [];
    const left = this.#urgent.takeInto(taken, bytesMax);
    this.#ordinary.takeInto(taken, left);
    return taken;
  }

  clear(): void {
    this.#urgent.clear();
    this.#ordinary.clear();
  }
}

class Lane {
  readonly #messagesMax: number;
  readonly #bytesMax: number;
  #messages: Message[] = [];
  /** Those before this position were taken. */
  #head = 0;
  /** Of those that wait. */
  #bytes = 0;

  constructor(messagesMax: number, bytesMax: number) {
    this.#messagesMax = messagesMax;
    this.#bytesMax = bytesMax;
  }

  get isEmpty(): boolean {
    return this.#head === this.#messages.length;
  }

  /** One message always has room, however large. */
  offer(message: Message): boolean {
    const bytes = sizeOf(message);
    const count = this.#messages.length - this.#head;
    if (count > 0 && (count >= this.#messagesMax || this.#bytes + bytes > this.#bytesMax)) return false;
    this.#messages.push(message);
    this.#bytes += bytes;
    return true;
  }

  /** Adds to a batch that has room for `room` bytes; a batch without messages takes one of any size. */
  takeInto(batch: Message[], room: number): number {
    let left = room;
    for (let message = this.#messages[this.#head]; message !== undefined; message = this.#messages[this.#head]) {
      const bytes = sizeOf(message);
      if (bytes > left && batch.length > 0) break;
      batch.push(message);
      left -= bytes;
      this.#bytes -= bytes;
      this.#head++;
    }
    if (this.isEmpty) this.clear();
    else if (this.#head > this.#messagesMax) {
      // A queue that never runs empty must not keep what it has given away.
      this.#messages = this.#messages.slice(this.#head);
      this.#head = 0;
    }
    return left;
  }

  clear(): void {
    this.#messages = [];
    this.#head = 0;
    this.#bytes = 0;
  }
}

function sizeOf(message: Message): number {
  let bytes = OVERHEAD_BYTES + message.context.length;
  for (const entry of message.entries) bytes += OVERHEAD_BYTES + entry.data.length;
  return bytes;
}
