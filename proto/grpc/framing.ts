import { LIMITS } from '#common/limits.ts';

/** gRPC's framing of messages in an HTTP/2 stream: a flag byte (compressed), four bytes of length, the message. */

const PREFIX_BYTES = 5;

export function frame(message: Uint8Array): Buffer {
  if (message.byteLength > LIMITS.MESSAGE_BYTES) throw new FrameTooLarge(message.byteLength);
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.byteLength);
  framed[0] = 0;
  framed.writeUInt32BE(message.byteLength, 1);
  framed.set(message, PREFIX_BYTES);
  return framed;
}

export class FrameTooLarge extends RangeError {
  readonly bytes: number;

  constructor(bytes: number) {
    super(`message larger than max (${bytes} vs ${LIMITS.MESSAGE_BYTES})`);
    this.bytes = bytes;
  }
}

/** Cuts a stream of bytes into messages. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #length = 0;

  /** @throws FrameTooLarge, or Error for a frame that is not one. */
  push(chunk: Buffer, message: (bytes: Uint8Array) => void): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    while (this.#length >= PREFIX_BYTES) {
      const head = this.#peek(PREFIX_BYTES);
      const size = head.readUInt32BE(1);
      if (head[0] !== 0) throw new Error('compressed message without an agreed compression');
      if (size > LIMITS.MESSAGE_BYTES) throw new FrameTooLarge(size);
      if (this.#length < PREFIX_BYTES + size) return;
      message(this.#take(PREFIX_BYTES + size).subarray(PREFIX_BYTES));
    }
  }

  /** Whether a message has begun that is not whole. */
  get isMidway(): boolean {
    return this.#length > 0;
  }

  #peek(bytes: number): Buffer {
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= bytes) return first;
    // A prefix in pieces: rare, and then short. The chunks stay, joined.
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }

  #take(bytes: number): Buffer {
    const joined = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    const rest = joined.subarray(bytes);
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#length = rest.length;
    return joined.subarray(0, bytes);
  }
}
