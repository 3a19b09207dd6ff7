import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { LogConfig } from '../config.ts';
import { diskError } from '../disk/errors.ts';
import type { LogObserver } from '../log.ts';
import { type DataKeys, keyName } from '../sealing.ts';
import { frameSize, lastIndexAfter, recordBytes, type WalRecord } from './frame.ts';
import { type ClosedSegment, type RecoveredSegments, type RecoveryOptions, recoverSegments } from './recovery.ts';
import { LOG_ID_BYTES, segmentName } from './segment-header.ts';
import { SegmentWriter } from './segment-writer.ts';

export interface WalOptions extends RecoveryOptions {
  readonly config: LogConfig;
  readonly clock: Clock;
  readonly observer?: LogObserver | undefined;
  /** What every segment begins with, so that older ones can go: records that must outlive them. */
  readonly preamble?: (() => readonly WalRecord[]) | undefined;
  /** Waited for before a flush when something else is more urgent; undefined when nothing is. */
  readonly yieldTurn?: (() => Promise<void> | undefined) | undefined;
  /** Called once, at the first error, before the appends that it fails are rejected. */
  readonly onFailure?: ((error: SwarmError) => void) | undefined;
}

interface Waiting {
  readonly records: readonly WalRecord[];
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: SwarmError) => void;
}

/**
 * The segmented write-ahead log: an append is durable when it resolves. Appends that wait while a flush runs share the
 * next one, in the order of the calls (group commit).
 *
 * Invariants: at most one frame is being written, and only after the one before it is durable; after the first error
 * nothing is written any more, since after a failed flush nobody knows what the disk holds.
 */
export class Wal {
  readonly #options: WalOptions;
  readonly #logId: Uint8Array;
  #segments: ClosedSegment[];
  #keys: DataKeys;
  /** Of the current data key. */
  #keyName: string;
  /** Of the segment that is being made, whose file no list has yet. */
  #beginning: string | undefined;
  #writer: SegmentWriter | undefined;
  #nextNumber: number;
  #sequence: number;
  /** Of the last frame of the last closed segment: where the next segment's chain begins. */
  #lastChecksum: number;
  #lastIndex: number;
  #queue: Waiting[] = [];
  #pumping: Promise<void> | undefined;
  #failure: SwarmError | undefined;
  /** One at a time removes segments. */
  #releasing: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(options: WalOptions, recovered: RecoveredSegments) {
    this.#options = options;
    this.#logId = recovered.logId ?? randomBytes(LOG_ID_BYTES);
    this.#segments = [...recovered.segments];
    this.#keys = options.keys;
    this.#keyName = keyName(options.keys.current);
    this.#nextNumber = recovered.nextNumber;
    this.#sequence = recovered.nextSequence;
    this.#lastChecksum = recovered.lastChecksum;
    this.#lastIndex = recovered.lastIndex;
  }

  /**
   * Reads the directory (which must exist and be locked), hands every record on in order, cuts a torn tail. Throws
   * `corrupt-log`, `corrupt-state` for a foreign data key, and disk errors.
   */
  static async open(options: WalOptions, visit: (record: WalRecord) => void): Promise<Wal> {
    return new Wal(options, await recoverSegments(options, visit));
  }

  /** The same in all files of one log. */
  get logId(): Uint8Array {
    return this.#logId;
  }

  /** Index of the last entry that is durable, counting those that a restored snapshot stands for; 0 if there is none. */
  get lastIndex(): number {
    return this.#lastIndex;
  }

  get failure(): SwarmError | undefined {
    return this.#failure;
  }

  /** Bytes that the segments hold. */
  get bytes(): number {
    let bytes = this.#writer?.bytes ?? 0;
    for (const segment of this.#segments) bytes += segment.bytes;
    return bytes;
  }

  /** The next append begins a segment under `keys.current`; what is there stays readable with the others. */
  rekey(keys: DataKeys): void {
    this.#keys = keys;
    this.#keyName = keyName(keys.current);
  }

  /** Names of the data keys that segments are sealed with. */
  keyNames(): ReadonlySet<string> {
    const names = new Set(this.#segments.map((segment) => segment.keyName));
    if (this.#writer !== undefined) names.add(this.#writer.keyName);
    if (this.#beginning !== undefined) names.add(this.#beginning);
    return names;
  }

  /** Resolves when the records are durable. */
  append(records: readonly WalRecord[]): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#closed)
      return Promise.reject(
        new SwarmError({ code: 'unavailable', reason: 'shutting-down', message: 'the log is closed' }),
      );
    let bytes = 0;
    for (const record of records) bytes += recordBytes(record);
    return new Promise((resolve, reject) => {
      this.#queue.push({ records, bytes, resolve, reject });
      this.#pumping ??= this.#pump();
    });
  }

  /**
   * Deletes the oldest segments as long as all their entries are at or below the index. Entries are overwritten only by
   * later ones, so what a segment has above the first index of the one behind it is void. A segment stays until the one
   * behind it holds a durable frame, because until then it may be the only one with the preamble's records.
   */
  release(index: number): Promise<void> {
    const turn = this.#releasing.then(() => this.#release(index));
    this.#releasing = turn.catch(() => {});
    return turn;
  }

  async #release(index: number): Promise<void> {
    const { disk, directory } = this.#options;
    try {
      let removed = false;
      for (;;) {
        const oldest = this.#segments[0];
        const behind =
          this.#segments[1]?.firstIndex ?? (this.#writer?.started ? this.#writer.header.firstIndex : undefined);
        if (oldest === undefined || behind === undefined || behind > index + 1) break;
        await disk.remove(join(directory, oldest.name));
        this.#segments.shift();
        removed = true;
      }
      if (removed) await disk.syncDirectory(directory);
    } catch (thrown) {
      throw this.#fail(diskError(thrown, 'deleting old segments'));
    }
  }

  /** Takes no more appends, finishes those that wait, closes the files. Never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#pumping;
    const writer = this.#writer;
    this.#writer = undefined;
    if (this.#failure !== undefined) await writer?.abandon();
    else await writer?.finish().catch((thrown: unknown) => this.#fail(diskError(thrown, 'closing a segment')));
  }

  async #pump(): Promise<void> {
    for (;;) {
      // Whoever appends in the same turn shares the flush.
      const turn = this.#options.yieldTurn?.();
      if (turn !== undefined) await turn;
      const batch = this.#takeBatch();
      // Empty also after a failure.
      if (batch.length === 0) break;
      try {
        await this.#flush(batch);
      } catch (thrown) {
        const error = this.#fail(diskError(thrown, 'writing'));
        for (const waiting of batch) waiting.reject(error);
        break;
      }
      for (const waiting of batch) waiting.resolve();
    }
    this.#pumping = undefined;
  }

  /** As many of those who wait as one frame takes, at least one. */
  #takeBatch(): readonly Waiting[] {
    let count = 0;
    let bytes = 0;
    for (const waiting of this.#queue) {
      if (count > 0 && bytes + waiting.bytes > this.#options.config.frameBytes) break;
      bytes += waiting.bytes;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #flush(batch: readonly Waiting[]): Promise<void> {
    const started = this.#options.clock.monotonic();
    let records = batch.flatMap((waiting) => waiting.records);
    let bytes = 0;
    for (const waiting of batch) bytes += waiting.bytes;
    const writer = this.#writer;
    if (writer !== undefined && (!writer.hasRoom(frameSize(bytes)) || writer.keyName !== this.#keyName))
      await this.#finishSegment(writer);
    if (this.#writer === undefined) {
      this.#writer = await this.#beginSegment();
      this.#beginning = undefined;
      records = [...(this.#options.preamble?.() ?? []), ...records];
    }
    const frame = await this.#writer.write(this.#sequence, records);
    this.#sequence++;
    this.#lastChecksum = frame.checksum;
    for (const record of records) this.#lastIndex = lastIndexAfter(record, this.#lastIndex);
    this.#options.observer?.flushed(this.#options.clock.monotonic() - started, records.length, frame.bytes.length);
  }

  async #finishSegment(writer: SegmentWriter): Promise<void> {
    const { number, firstIndex } = writer.header;
    const bytes = await writer.finish();
    this.#segments.push({ name: segmentName(number), firstIndex, bytes, keyName: writer.keyName });
    this.#writer = undefined;
  }

  async #beginSegment(): Promise<SegmentWriter> {
    const { disk, directory, config } = this.#options;
    const header = {
      number: this.#nextNumber,
      firstSequence: this.#sequence,
      firstIndex: this.#lastIndex + 1,
      logId: this.#logId,
      previousChecksum: this.#lastChecksum,
    };
    this.#beginning = this.#keyName;
    const writer = await SegmentWriter.create(disk, directory, header, this.#keys, config);
    this.#nextNumber++;
    return writer;
  }

  /** Stops the log for good; the first error is the one that everybody gets. */
  #fail(error: SwarmError): SwarmError {
    if (this.#failure !== undefined) return this.#failure;
    this.#failure = error;
    this.#options.onFailure?.(error);
    for (const waiting of this.#queue.splice(0)) waiting.reject(error);
    return error;
  }
}
