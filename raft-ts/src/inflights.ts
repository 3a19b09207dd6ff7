import { violated } from './errors.ts';

/**
 * A sliding window over the append messages sent to a follower and not yet acknowledged, limited in messages and in
 * bytes. Each message is known by the index of its last entry. A ring that grows by doubling up to `maxMessages`.
 */
export class Inflights {
  readonly maxMessages: number;
  /** The window counts as full when this is reached; the message that reaches it is still sent. */
  readonly maxBytes: number;
  #start = 0;
  #count = 0;
  #bytes = 0;
  #indexes: number[] = [];
  #sizes: number[] = [];

  constructor(maxMessages: number, maxBytes: number) {
    this.maxMessages = maxMessages;
    this.maxBytes = maxBytes;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  full(): boolean {
    return this.#count >= this.maxMessages || this.#bytes >= this.maxBytes;
  }

  /** A message was sent. Must not be called when full; indexes must not go down. */
  add(index: number, bytes: number): void {
    if (this.full()) violated('cannot add into a full inflights');
    if (this.#count === this.#indexes.length) this.#grow();
    const at = (this.#start + this.#count) % this.#indexes.length;
    this.#indexes[at] = index;
    this.#sizes[at] = bytes;
    this.#count++;
    this.#bytes += bytes;
  }

  /** All messages up to this index have arrived. */
  freeUpTo(index: number): void {
    while (this.#count > 0 && (this.#indexes[this.#start] ?? 0) <= index) {
      this.#bytes -= this.#sizes[this.#start] ?? 0;
      this.#start = (this.#start + 1) % this.#indexes.length;
      this.#count--;
    }
  }

  reset(): void {
    this.#start = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  copy(): Inflights {
    const copy = new Inflights(this.maxMessages, this.maxBytes);
    copy.#start = this.#start;
    copy.#count = this.#count;
    copy.#bytes = this.#bytes;
    copy.#indexes = this.#indexes.slice();
    copy.#sizes = this.#sizes.slice();
    return copy;
  }

  #grow(): void {
    const capacity = Math.min(Math.max(1, this.#indexes.length * 2), this.maxMessages);
    const indexes = Array.from({ length: capacity }, () => 0);
    const sizes = Array.from({ length: capacity }, () => 0);
    for (let i = 0; i < this.#count; i++) {
      const from = (this.#start + i) % this.#indexes.length;
      indexes[i] = this.#indexes[from] ?? 0;
      sizes[i] = this.#sizes[from] ?? 0;
    }
    this.#start = 0;
    this.#indexes = indexes;
    this.#sizes = sizes;
  }
}
