import { join } from 'node:path';
import type { SwarmError } from '#common/errors.ts';
import type { LogConfig } from '../config.ts';
import type { Disk, DiskFile } from '../disk/disk.ts';
import { diskError, isDiskFull } from '../disk/errors.ts';
import type { DataKeys, Sealer } from '../sealing.ts';
import { type EncodedFrame, encodeFrame, PAGE_BYTES, type WalRecord } from './frame.ts';
import { encodeSegmentHeader, type SegmentHeader, segmentName } from './segment-header.ts';

const ZERO_BYTES = 256 * 1024;
const ZEROS = new Uint8Array(ZERO_BYTES);

interface SegmentParts {
  readonly disk: Disk;
  readonly path: string;
  readonly file: DiskFile;
  readonly sealer: Sealer;
  readonly header: SegmentHeader;
  readonly keyName: string;
  readonly checksum: number;
  readonly config: LogConfig;
}

/** The segment that frames are written to. Calls must not overlap; after a rejection only `abandon` may be called. */
export class SegmentWriter {
  readonly #parts: SegmentParts;
  /** Where the next frame goes. */
  #offset = PAGE_BYTES;
  /**
   * The file is zero from `#offset` up to here. Invariant: while zeros are being written behind it, no frame is
   * written beyond it.
   */
  #allocated = PAGE_BYTES;
  #extension: Promise<void> | undefined;
  #extensionFailure: SwarmError | undefined;
  /** The disk had no room for zeros: from then on the file grows with its frames. */
  #isFull = false;
  #previousChecksum: number;

  private constructor(parts: SegmentParts) {
    this.#parts = parts;
    this.#previousChecksum = parts.checksum;
  }

  /** Makes the file; it is durable under its final name, header included, when this resolves. */
  static async create(
    disk: Disk,
    directory: string,
    header: SegmentHeader,
    keys: DataKeys,
    config: LogConfig,
  ): Promise<SegmentWriter> {
    const path = join(directory, segmentName(header.number));
    const { page, checksum, keyName, sealer } = encodeSegmentHeader(header, keys);
    const unfinished = await disk.open(`${path}.tmp`, 'create');
    try {
      await unfinished.write(0, page);
      await unfinished.sync();
    } finally {
      await unfinished.close();
    }
    await disk.rename(`${path}.tmp`, path);
    await disk.syncDirectory(directory);
    const file = await disk.open(path, 'durable');
    const writer = new SegmentWriter({ disk, path, file, sealer, header, keyName, checksum, config });
    writer.#extend();
    return writer;
  }

  get header(): SegmentHeader {
    return this.#parts.header;
  }

  /** Of the data key that it is sealed with. */
  get keyName(): string {
    return this.#parts.keyName;
  }

  get bytes(): number {
    return this.#allocated;
  }

  /** Whether the first frame, and with it the preamble, is durable. */
  get started(): boolean {
    return this.#offset > PAGE_BYTES;
  }

  /** Whether a frame of this size may still go into this segment. An empty one takes any frame. */
  hasRoom(bytes: number): boolean {
    return !this.started || this.#offset + bytes <= this.#parts.config.segmentBytes;
  }

  /** Writes the records as one frame; durable when it resolves. */
  async write(sequence: number, records: readonly WalRecord[]): Promise<EncodedFrame> {
    const place = { sequence, offset: this.#offset, previousChecksum: this.#previousChecksum };
    const frame = encodeFrame(this.#parts.sealer, place, records);
    const end = this.#offset + frame.bytes.length;
    if (end > this.#allocated) await this.#extension;
    if (this.#extensionFailure !== undefined) throw this.#extensionFailure;
    const written = this.#parts.file.write(this.#offset, frame.bytes);
    // Time that the disk takes is time that nobody waits for this.
    this.#parts.sealer.prepare();
    await written;
    this.#offset = end;
    this.#allocated = Math.max(this.#allocated, end);
    this.#previousChecksum = frame.checksum;
    this.#extend();
    return frame;
  }

  /** Gives back what was allocated ahead and closes the file. Returns its size. */
  async finish(): Promise<number> {
    await this.#extension;
    try {
      await this.#parts.file.truncate(this.#offset);
    } catch (thrown) {
      await this.abandon();
      throw thrown;
    }
    await this.#parts.file.close();
    return this.#offset;
  }

  /** Closes the file after a failure, touching nothing. Safe to repeat. */
  async abandon(): Promise<void> {
    await this.#extension;
    await this.#parts.file.close().catch(() => {});
  }

  /** Begins to allocate more when less than half a step is left. */
  #extend(): void {
    const { allocateBytes, segmentBytes } = this.#parts.config;
    if (this.#extension !== undefined || this.#isFull || this.#allocated - this.#offset >= allocateBytes / 2) return;
    const end = Math.min(this.#allocated + allocateBytes, segmentBytes);
    if (end <= this.#allocated) return;
    this.#extension = this.#writeZeros(this.#allocated, end)
      .catch((thrown: unknown) => {
        // A full disk is met again, and reported, by the frame that finds no room; what is allocated still serves.
        if (isDiskFull(thrown)) this.#isFull = true;
        else this.#extensionFailure = diskError(thrown, 'allocating space');
      })
      .finally(() => {
        this.#extension = undefined;
      });
  }

  async #writeZeros(from: number, to: number): Promise<void> {
    const file = await this.#parts.disk.open(this.#parts.path, 'write');
    try {
      for (let offset = from; offset < to; offset += ZERO_BYTES)
        await file.write(offset, ZEROS.subarray(0, Math.min(ZERO_BYTES, to - offset)));
      await file.sync();
    } finally {
      await file.close();
    }
    this.#allocated = to;
  }
}
