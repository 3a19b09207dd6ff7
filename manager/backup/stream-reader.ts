import type { ForwardReader } from '#manager/log/index.ts';

/** Reads a stream of bytes in its order, whatever the sizes of its pieces. Holds what was asked for and one piece more. */
export class StreamReader implements ForwardReader {
  readonly #source: AsyncIterator<Uint8Array>;
  /** What was received and not passed yet, from `#start` on. */
  #held: Buffer = Buffer.alloc(0);
  #start = 0;
  #ended = false;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async at(offset: number, length: number): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [this.#held.subarray(offset - this.#start)];
    let heldBytes = this.#held.length - (offset - this.#start);
    while (heldBytes < length && !this.#ended) {
      const next = await this.#source.next();
      if (next.done === true) {
        this.#ended = true;
        break;
      }
      pieces.push(next.value);
      heldBytes += next.value.length;
    }
    const [only] = pieces;
    this.#held =
      pieces.length === 1 && only !== undefined
        ? Buffer.from(only.buffer, only.byteOffset, only.length)
        : Buffer.concat(pieces);
    this.#start = offset;
    return this.#held.subarray(0, length);
  }

  /** Lets go of the source, also before its end. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }
}
