/** Messages on a stream: four bytes of length before each. For the socket and for the copy on disk. */
import { SwarmError } from '#common/errors.ts';

const LENGTH_BYTES = 4;
/** One message holds a bounded number of entries, each of a few hundred bytes. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;

export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(LENGTH_BYTES + message.length);
  framed.writeUInt32BE(message.length);
  framed.set(message, LENGTH_BYTES);
  return framed;
}

/** Puts messages together from pieces as they come. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** Whether everything that came was whole. */
  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  /** The messages that are whole now. @throws SwarmError `bad-message` for a length that cannot be. */
  push(chunk: Buffer): readonly Buffer[] {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    const messages: Buffer[] = [];
    for (;;) {
      const message = this.#next();
      if (message === undefined) return messages;
      messages.push(message);
    }
  }

  #next(): Buffer | undefined {
    if (this.#bytes < LENGTH_BYTES) return undefined;
    if ((this.#chunks[0]?.length ?? 0) < LENGTH_BYTES) this.#join();
    const length = this.#chunks[0]?.readUInt32BE(0) ?? 0;
    if (length > FRAME_BYTES_MAX)
      throw new SwarmError({
        code: 'invalid',
        reason: 'bad-message',
        message: `a message of ${length} bytes is longer than ${FRAME_BYTES_MAX}`,
      });
    if (this.#bytes < LENGTH_BYTES + length) return undefined;
    const whole = this.#join();
    this.#chunks = whole.length > LENGTH_BYTES + length ? [whole.subarray(LENGTH_BYTES + length)] : [];
    this.#bytes -= LENGTH_BYTES + length;
    return whole.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
  }

  #join(): Buffer {
    const [first] = this.#chunks;
    const whole = first !== undefined && this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks);
    this.#chunks = [whole];
    return whole;
  }
}
