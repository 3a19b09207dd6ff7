import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { SwarmError } from '#common/errors.ts';
import type { Disk, DiskFile } from '../disk/disk.ts';
import type { LogPosition } from '../log.ts';
import { type DataKeys, SEAL_OVERHEAD_BYTES, type Sealer } from '../sealing.ts';
import { asBuffer } from '../wal/binary.ts';
import { WindowReader } from '../wal/window-reader.ts';
import {
  CHUNK_HEADER_BYTES,
  chunkBinding,
  corruptSnapshot,
  encodeSnapshotHeader,
  parseSnapshotHeader,
  SNAPSHOT_HEADER_BYTES,
  snapshotName,
  snapshotPosition,
} from './snapshot-header.ts';

export interface SnapshotFilesOptions {
  readonly disk: Disk;
  /** Must exist and be locked. */
  readonly directory: string;
  readonly keys: DataKeys;
  /** A sync is made each time this much was written, so that none takes long. */
  readonly syncBytes: number;
}

/** The largest chunk that is read back; anything above is damage. */
const CHUNK_BYTES_MAX = 64 * 1024 * 1024;

/** The snapshots in a manager's directory: sealed, whole or not there, named by term and index. */
export class SnapshotFiles {
  readonly #options: SnapshotFilesOptions;

  constructor(options: SnapshotFilesOptions) {
    this.#options = options;
  }

  /** Positions of the snapshots that are there, newest first. */
  async list(): Promise<readonly LogPosition[]> {
    const positions: LogPosition[] = [];
    for (const name of await this.#options.disk.list(this.#options.directory)) {
      const position = snapshotPosition(name);
      if (position !== undefined) positions.push(position);
    }
    return positions.sort((left, right) => right.index - left.index);
  }

  /**
   * Writes a snapshot; it is durable under its name when this resolves with its size. Chunks are pulled one at a time,
   * with a trip to the disk between. Leaves nothing behind when it rejects.
   */
  async write(
    position: LogPosition,
    logId: Uint8Array,
    chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    signal?: AbortSignal,
  ): Promise<number> {
    const { disk, directory } = this.#options;
    const path = join(directory, snapshotName(position));
    const file = await disk.open(`${path}.tmp`, 'create');
    let bytes: number;
    try {
      bytes = await this.#writeContent(file, position, logId, chunks, signal);
    } catch (thrown) {
      await file.close().catch(() => {});
      await disk.remove(`${path}.tmp`).catch(() => {});
      throw thrown;
    }
    await file.close();
    await disk.rename(`${path}.tmp`, path);
    await disk.syncDirectory(directory);
    return bytes;
  }

  /** The chunks of a snapshot, verified as they come. Throws `corrupt-state` where the file is damaged or cut. */
  async *read(position: LogPosition, logId: Uint8Array): AsyncGenerator<Uint8Array, void> {
    const path = join(this.#options.directory, snapshotName(position));
    const file = await this.#options.disk.open(path, 'read');
    try {
      const reader = new WindowReader(file);
      const header = parseSnapshotHeader(await reader.at(0, SNAPSHOT_HEADER_BYTES), path, this.#options.keys);
      if (header.position.index !== position.index || header.position.term !== position.term)
        throw corruptSnapshot(path, 0, `it is the snapshot of entry ${header.position.index} under another's name`);
      if (Buffer.compare(header.logId, logId) !== 0) throw corruptSnapshot(path, 0, 'it belongs to another log');
      yield* readChunks(reader, path, header.sealer, header.checksum);
    } finally {
      await file.close();
    }
  }

  /** Removes unfinished files and every snapshot but the `keep` newest ones at or below the index. */
  async prune(index: number, keep: number): Promise<void> {
    const { disk, directory } = this.#options;
    let removed = false;
    let kept = 0;
    for (const position of await this.list()) {
      if (position.index <= index && kept < keep) {
        kept++;
        continue;
      }
      await disk.remove(join(directory, snapshotName(position)));
      removed = true;
    }
    for (const name of await disk.list(directory)) {
      if (!name.endsWith('.snapshot.tmp')) continue;
      await disk.remove(join(directory, name));
      removed = true;
    }
    if (removed) await disk.syncDirectory(directory);
  }

  async #writeContent(
    file: DiskFile,
    position: LogPosition,
    logId: Uint8Array,
    chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const { bytes, checksum, sealer } = encodeSnapshotHeader(position, logId, this.#options.keys);
    const writer = new ChunkWriter(file, sealer, checksum, this.#options.syncBytes);
    await writer.writeHeader(bytes);
    for await (const chunk of chunks) {
      if (signal?.aborted === true) throw aborted();
      // An empty chunk would read as the end.
      if (chunk.length > 0) await writer.writeChunk(chunk, false);
    }
    await writer.writeChunk(new Uint8Array(0), true);
    await file.sync();
    return writer.offset;
  }
}

function aborted(): SwarmError {
  return new SwarmError({ code: 'cancelled', reason: 'shutting-down', message: 'the snapshot was interrupted' });
}

class ChunkWriter {
  readonly #file: DiskFile;
  readonly #sealer: Sealer;
  readonly #syncBytes: number;
  #checksum: number;
  #unsyncedBytes = 0;
  #number = 0;
  offset = 0;

  constructor(file: DiskFile, sealer: Sealer, checksum: number, syncBytes: number) {
    this.#file = file;
    this.#sealer = sealer;
    this.#checksum = checksum;
    this.#syncBytes = syncBytes;
  }

  writeHeader(header: Buffer): Promise<void> {
    return this.#write(header);
  }

  async writeChunk(chunk: Uint8Array, isLast: boolean): Promise<void> {
    const sealedBytes = chunk.length + SEAL_OVERHEAD_BYTES;
    const framed = Buffer.allocUnsafe(CHUNK_HEADER_BYTES + sealedBytes);
    framed.writeUInt32LE(sealedBytes, 0);
    this.#sealer.sealInto(framed, CHUNK_HEADER_BYTES, chunk, chunkBinding(this.#number++, isLast));
    this.#checksum = crc32(framed.subarray(CHUNK_HEADER_BYTES), this.#checksum);
    framed.writeUInt32LE(this.#checksum, 4);
    await this.#write(framed);
    if (this.#unsyncedBytes < this.#syncBytes) return;
    await this.#file.sync();
    this.#unsyncedBytes = 0;
  }

  async #write(data: Uint8Array): Promise<void> {
    await this.#file.write(this.offset, data);
    this.offset += data.length;
    this.#unsyncedBytes += data.length;
  }
}

async function* readChunks(
  reader: WindowReader,
  path: string,
  sealer: Sealer,
  headerChecksum: number,
): AsyncGenerator<Uint8Array, void> {
  let offset = SNAPSHOT_HEADER_BYTES;
  let checksum = headerChecksum;
  for (let number = 0; ; number++) {
    const head = asBuffer(await reader.at(offset, CHUNK_HEADER_BYTES));
    if (head.length < CHUNK_HEADER_BYTES) throw corruptSnapshot(path, offset, 'it ends before its last chunk');
    const sealedBytes = head.readUInt32LE(0);
    const expected = head.readUInt32LE(4);
    if (sealedBytes > CHUNK_BYTES_MAX) throw corruptSnapshot(path, offset, 'a chunk is too long');
    const sealed = await reader.at(offset + CHUNK_HEADER_BYTES, sealedBytes);
    if (sealed.length < sealedBytes) throw corruptSnapshot(path, offset, 'it ends inside a chunk');
    checksum = crc32(sealed, checksum);
    if (checksum !== expected) throw corruptSnapshot(path, offset, 'a checksum differs');
    const isLast = sealedBytes === SEAL_OVERHEAD_BYTES;
    const chunk = sealer.open(sealed, chunkBinding(number, isLast));
    if (chunk === undefined) throw corruptSnapshot(path, offset, 'a seal is broken');
    if (isLast) return;
    yield chunk;
    offset += CHUNK_HEADER_BYTES + sealedBytes;
  }
}
