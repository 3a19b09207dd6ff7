/**
 * Chunks under one seal: u32 sealed length, u32 checksum chained from the one before, sealed bytes. Each chunk's seal
 * includes its number and whether it is the last; the last one is empty, so that an end that was cut off is noticed.
 */
import { crc32 } from 'node:zlib';
import { SwarmError } from '#common/errors.ts';
import type { DiskFile } from '../disk/disk.ts';
import { SEAL_OVERHEAD_BYTES, type Sealer } from '../sealing.ts';
import { asBuffer, writeU64 } from '../wal/binary.ts';

const CHUNK_HEADER_BYTES = 8;

/** The largest chunk that is read back; anything above is damage. */
const CHUNK_BYTES_MAX = 64 * 1024 * 1024;

/** What the header of a file gives to its chunks. */
export interface ChunkSeal {
  readonly sealer: Sealer;
  /** Checksum of the header, which those of the chunks go on from. */
  readonly checksum: number;
}

/** Bytes from front to back: offsets never go down. Fewer than `length` come only at the end. */
export interface ForwardReader {
  at(offset: number, length: number): Promise<Uint8Array>;
}

/** The header, then the chunks, sealed one at a time as they are pulled. */
export async function* sealChunks(
  header: Uint8Array,
  seal: ChunkSeal,
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void> {
  yield header;
  let { checksum } = seal;
  let number = 0;
  for await (const chunk of chunks) {
    if (signal?.aborted === true) throw aborted();
    // An empty chunk would read as the end.
    if (chunk.length === 0) continue;
    const framed = sealChunk(seal.sealer, checksum, number++, chunk, false);
    checksum = framed.checksum;
    yield framed.bytes;
  }
  yield sealChunk(seal.sealer, checksum, number, new Uint8Array(0), true).bytes;
}

function sealChunk(
  sealer: Sealer,
  before: number,
  number: number,
  chunk: Uint8Array,
  isLast: boolean,
): { readonly bytes: Uint8Array; readonly checksum: number } {
  const sealedBytes = chunk.length + SEAL_OVERHEAD_BYTES;
  const bytes = Buffer.allocUnsafe(CHUNK_HEADER_BYTES + sealedBytes);
  bytes.writeUInt32LE(sealedBytes, 0);
  sealer.sealInto(bytes, CHUNK_HEADER_BYTES, chunk, bindingOf(number, isLast));
  const checksum = crc32(bytes.subarray(CHUNK_HEADER_BYTES), before);
  bytes.writeUInt32LE(checksum, 4);
  return { bytes, checksum };
}

/** Writes the pieces from the front of the file and syncs it, also each time `syncBytes` were written. */
export async function writeSealed(
  file: DiskFile,
  pieces: AsyncIterable<Uint8Array>,
  syncBytes: number,
): Promise<number> {
  let offset = 0;
  let unsyncedBytes = 0;
  for await (const piece of pieces) {
    await file.write(offset, piece);
    offset += piece.length;
    unsyncedBytes += piece.length;
    if (unsyncedBytes < syncBytes) continue;
    await file.sync();
    unsyncedBytes = 0;
  }
  await file.sync();
  return offset;
}

/**
 * The chunks from the offset on, verified as they come; returns the offset behind the last one. What is wrong is
 * thrown as the error that `damaged` makes of it.
 */
export async function* openChunks(
  reader: ForwardReader,
  from: number,
  seal: ChunkSeal,
  damaged: (offset: number, what: string) => SwarmError,
): AsyncGenerator<Uint8Array, number> {
  let offset = from;
  let { checksum } = seal;
  for (let number = 0; ; number++) {
    const head = asBuffer(await reader.at(offset, CHUNK_HEADER_BYTES));
    if (head.length < CHUNK_HEADER_BYTES) throw damaged(offset, 'it ends before its last chunk');
    const sealedBytes = head.readUInt32LE(0);
    const expected = head.readUInt32LE(4);
    if (sealedBytes > CHUNK_BYTES_MAX) throw damaged(offset, 'a chunk is too long');
    const sealed = await reader.at(offset + CHUNK_HEADER_BYTES, sealedBytes);
    if (sealed.length < sealedBytes) throw damaged(offset, 'it ends inside a chunk');
    checksum = crc32(sealed, checksum);
    if (checksum !== expected) throw damaged(offset, 'a checksum differs');
    const isLast = sealedBytes === SEAL_OVERHEAD_BYTES;
    const chunk = seal.sealer.open(sealed, bindingOf(number, isLast));
    if (chunk === undefined) throw damaged(offset, 'a seal is broken');
    offset += CHUNK_HEADER_BYTES + sealedBytes;
    if (isLast) return offset;
    yield chunk;
  }
}

/** What a chunk's seal is bound to besides its bytes. */
function bindingOf(number: number, isLast: boolean): Buffer {
  const binding = Buffer.alloc(9);
  writeU64(binding, number, 0);
  binding.writeUInt8(isLast ? 1 : 0, 8);
  return binding;
}

function aborted(): SwarmError {
  return new SwarmError({ code: 'cancelled', reason: 'shutting-down', message: 'the snapshot was interrupted' });
}
