/** Messages that go out on many streams are turned into bytes once. */
import type { Codec } from './codec.ts';

/** Bytes of messages that were handed to `encodedOnce`; undefined until they are needed. Forgotten with the message. */
const encoded = new WeakMap<object, Uint8Array | undefined>();

/** From now on the first stream that sends the message encodes it for all of them. Nobody may change the bytes. */
export function encodedOnce<T extends object>(message: T): T {
  encoded.set(message, undefined);
  return message;
}

/** The message's bytes: those of the last time for one that is encoded once. */
export function bytesOf<T>(codec: Codec<T>, message: T): Uint8Array {
  if (typeof message !== 'object' || message === null || !encoded.has(message)) return codec.encode(message);
  const known = encoded.get(message);
  if (known !== undefined) return known;
  const bytes = codec.encode(message);
  encoded.set(message, bytes);
  return bytes;
}
