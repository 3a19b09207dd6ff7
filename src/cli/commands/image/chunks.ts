/** Bytes for the daemon, in pieces that are neither too large for it nor a message for every header. */

/** The daemon takes up to 1 MiB; with this a message and its copies stay in the processor's cache. */
const CHUNK_BYTES = 256 * 1024;

/** The same bytes in pieces of `CHUNK_BYTES`, the last one shorter. */
export async function* inChunks(
  source: AsyncIterable<Uint8Array>,
  chunkBytes: number = CHUNK_BYTES,
): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  for await (const piece of source) {
    let rest = piece;
    while (waitingBytes + rest.length >= chunkBytes) {
      const taken = chunkBytes - waitingBytes;
      yield joined([...waiting, rest.subarray(0, taken)]);
      rest = rest.subarray(taken);
      waiting = [];
      waitingBytes = 0;
    }
    if (rest.length === 0) continue;
    waiting.push(rest);
    waitingBytes += rest.length;
  }
  if (waitingBytes > 0) yield joined(waiting);
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  return pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces);
}
