/** Numbers in message contexts: 8 bytes each, little-endian. */
import type { EntryId } from './types.ts';

export const WORD_BYTES = 8;

export function putWord(into: Uint8Array, offset: number, value: number): void {
  let rest = value;
  for (let i = 0; i < WORD_BYTES; i++) {
    into[offset + i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}

/** Zero for what a number cannot hold: no position, tick, term or index is that large. */
export function getWord(from: Uint8Array, offset: number): number {
  let value = 0;
  for (let i = WORD_BYTES - 1; i >= 0; i--) value = value * 256 + (from[offset + i] ?? 0);
  return Number.isSafeInteger(value) ? value : 0;
}

export function encodeEntryId({ term, index }: EntryId): Uint8Array {
  const bytes = new Uint8Array(2 * WORD_BYTES);
  putWord(bytes, 0, term);
  putWord(bytes, WORD_BYTES, index);
  return bytes;
}

/** Undefined if the bytes are not an entry's id. */
export function decodeEntryId(bytes: Uint8Array): EntryId | undefined {
  if (bytes.length !== 2 * WORD_BYTES) return undefined;
  const id = { term: getWord(bytes, 0), index: getWord(bytes, WORD_BYTES) };
  return id.term === 0 || id.index === 0 ? undefined : id;
}
