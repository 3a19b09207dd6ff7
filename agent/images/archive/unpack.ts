/** Decompression of untrusted streams: bounded memory, and an end to bombs. */
import { pipeline, Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { SwarmError } from '#common/errors.ts';
import type { ArchiveLimits } from '../config.ts';
import { archiveTooLarge, invalidImage } from './archive-error.ts';

/** Small enough that looking at one piece never holds up the event loop. */
const PIECE_BYTES = 128 * 1024;
const MAGIC_BYTES = 6;
/** Memory of a zstd stream: the window that every decoder has to support. */
const ZSTD_WINDOW_LOG_MAX = 27;

export type Compression = 'none' | 'gzip' | 'zstd';

const MAGICS: readonly (readonly [magic: string, name: Compression | 'bzip2' | 'xz'])[] = [
  ['1f8b', 'gzip'],
  ['28b52ffd', 'zstd'],
  ['425a68', 'bzip2'],
  ['fd377a585a00', 'xz'],
];

/** @param head at least the first six bytes, or all there are. */
export function compressionOf(head: Buffer): Compression {
  const hex = head.subarray(0, MAGIC_BYTES).toString('hex');
  const found = MAGICS.find(([magic]) => hex.startsWith(magic))?.[1] ?? 'none';
  if (found === 'bzip2' || found === 'xz')
    throw invalidImage(`compression with ${found} is not supported`, 'compress it with gzip or zstd');
  return found;
}

/** Counts what goes in and comes out of one or more decompressions, and stops them when it becomes too much. */
export class BombGuard {
  readonly #limits: ArchiveLimits;
  readonly #bytesMax: number;
  readonly #limitName: string;
  #packedBytes = 0;
  #unpackedBytes = 0;

  constructor(limits: ArchiveLimits, limitName: 'archiveBytesMax' | 'unpackedBytesMax') {
    this.#limits = limits;
    this.#limitName = limitName;
    this.#bytesMax = limits[limitName];
  }

  get unpackedBytes(): number {
    return this.#unpackedBytes;
  }

  packed(bytes: number): void {
    this.#packedBytes += bytes;
  }

  unpacked(bytes: number): void {
    this.#unpackedBytes += bytes;
    if (this.#unpackedBytes > this.#bytesMax)
      throw archiveTooLarge(this.#limitName, `it is larger than ${this.#bytesMax} bytes when unpacked`);
    const { ratioFreeBytes, ratioMax } = this.#limits;
    if (this.#unpackedBytes > ratioFreeBytes && this.#unpackedBytes > this.#packedBytes * ratioMax)
      throw archiveTooLarge(
        'ratioMax',
        `${this.#packedBytes} bytes unpack to more than ${this.#unpackedBytes}: that is a decompression bomb`,
      );
  }
}

/** The first piece of at least `MAGIC_BYTES`, then the rest; pieces are cut to a size that is quickly looked at. */
async function* counted(source: AsyncIterable<Uint8Array>, guard: BombGuard): AsyncGenerator<Buffer> {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of source) {
    let piece = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    guard.packed(piece.length);
    if (head !== undefined) {
      piece = Buffer.concat([head, piece]);
      head = piece.length < MAGIC_BYTES ? piece : undefined;
      if (head !== undefined) continue;
    }
    for (let start = 0; start < piece.length; start += PIECE_BYTES) yield piece.subarray(start, start + PIECE_BYTES);
  }
  if (head !== undefined && head.length > 0) yield head;
}

/** Whether the error tells of the data, not of what delivers it. */
function isDataError(error: unknown): boolean {
  const code = String((error as { code?: unknown }).code ?? '');
  return !(error instanceof SwarmError) && (code.startsWith('Z_') || code.startsWith('ZSTD_'));
}

/**
 * The stream without its compression, whichever it is. Throws `image-invalid` for damaged or unreasonable data; errors
 * of the source pass through.
 */
export async function* unpack(source: AsyncIterable<Uint8Array>, guard: BombGuard): AsyncGenerator<Buffer> {
  const pieces = counted(source, guard);
  try {
    const first = await pieces.next();
    if (first.done === true) return;
    const compression = compressionOf(first.value);
    async function* whole(): AsyncGenerator<Buffer> {
      yield first.value as Buffer;
      yield* pieces;
    }
    if (compression !== 'none') yield* decompress(whole(), compression, guard);
    else
      for await (const piece of whole()) {
        guard.unpacked(piece.length);
        yield piece;
      }
  } finally {
    // The source is let go wherever reading ends, at the first piece too. Not awaited: it may hang.
    pieces.return(undefined).catch(() => {});
  }
}

async function* decompress(
  source: AsyncGenerator<Buffer>,
  compression: 'gzip' | 'zstd',
  guard: BombGuard,
): AsyncGenerator<Buffer> {
  const decoder =
    compression === 'gzip'
      ? createGunzip({ chunkSize: PIECE_BYTES })
      : createZstdDecompress({ chunkSize: PIECE_BYTES, params: { [ZSTD_WINDOW_PARAMETER]: ZSTD_WINDOW_LOG_MAX } });
  // Errors reach whoever iterates over the decoder.
  pipeline(Readable.from(source, { objectMode: false }), decoder, () => {});
  try {
    for await (const piece of decoder) {
      guard.unpacked((piece as Buffer).length);
      yield piece as Buffer;
    }
  } catch (error) {
    if (isDataError(error))
      throw invalidImage(`its ${compression} data is damaged: ${(error as Error).message}`, undefined, error);
    throw error;
  } finally {
    decoder.destroy();
  }
}

/** ZSTD_d_windowLogMax. */
const ZSTD_WINDOW_PARAMETER = 100;
