/** Reads records of one log file, forwards as it grows and backwards for its last lines. */
import type { FileHandle } from 'node:fs/promises';
import { flagAt, HEADER_BYTES, type LogRecord, parseRecord } from './log-line.ts';

const NEWLINE = 0x0a;

export class RecordReader {
  readonly handle: FileHandle;
  readonly #chunk: Buffer;
  #offset: number;
  /** Bytes of a record whose newline has not come yet. */
  #rest: Buffer = Buffer.alloc(0);

  constructor(handle: FileHandle, chunkBytes: number, offset = 0) {
    this.handle = handle;
    this.#chunk = Buffer.allocUnsafe(chunkBytes);
    this.#offset = offset;
  }

  /** The next records; undefined at the present end of the file. What is no record is left out. */
  async next(): Promise<readonly LogRecord[] | undefined> {
    const { bytesRead } = await this.handle.read(this.#chunk, 0, this.#chunk.length, this.#offset);
    if (bytesRead === 0) return undefined;
    this.#offset += bytesRead;
    // Copied: the records point into it, and the chunk is read into again.
    const bytes = Buffer.concat([this.#rest, this.#chunk.subarray(0, bytesRead)]);
    const records: LogRecord[] = [];
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      const record = parseRecord(bytes.subarray(start, end));
      if (record !== undefined) records.push(record);
      start = end + 1;
    }
    this.#rest = bytes.subarray(start);
    return records;
  }

  /** Begins anew when the file has become shorter than what was read of it: it was truncated. */
  async noticeTruncation(): Promise<void> {
    if ((await this.handle.stat()).size >= this.#offset) return;
    this.#offset = 0;
    this.#rest = Buffer.alloc(0);
  }
}

export interface TailStart {
  /** Where the last lines begin; 0 when the file has no more than were asked for. */
  readonly offset: number;
  /** Lines that end in the file from there on. */
  readonly lines: number;
}

/**
 * Looks for the last `lines` lines of a file, from its end. `isNewest`: an unfinished line at the end is one of them;
 * in older files it ends in the next one, and is counted there.
 */
export async function findTail(
  handle: FileHandle,
  lines: number,
  chunkBytes: number,
  isNewest: boolean,
): Promise<TailStart> {
  const { size } = await handle.stat();
  let found = 0;
  let isLast = true;
  // Each block is read with the byte before it and the beginning of the one after: no record's start lies across two.
  const buffer = Buffer.allocUnsafe(1 + chunkBytes + HEADER_BYTES);
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - chunkBytes);
    const from = Math.max(0, start - 1);
    const { bytesRead } = await handle.read(buffer, 0, Math.min(end + HEADER_BYTES, size) - from, from);
    const bytes = buffer.subarray(0, bytesRead);
    for (let position = end - 1; position >= start; position--) {
      if (position > 0 && bytes[position - 1 - from] !== NEWLINE) continue;
      const flag = flagAt(bytes, position - from);
      const endsLine = flag === 'full' || (flag === 'partial' && isLast && isNewest);
      if (flag !== undefined) isLast = false;
      if (!endsLine) continue;
      if (found === lines) return { offset: await endOfRecord(handle, position, size), lines: found };
      found++;
    }
    end = start;
  }
  return { offset: 0, lines: found };
}

async function endOfRecord(handle: FileHandle, start: number, size: number): Promise<number> {
  const buffer = Buffer.allocUnsafe(16 * 1024);
  for (let offset = start; offset < size; offset += buffer.length) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, offset);
    const newline = buffer.subarray(0, bytesRead).indexOf(NEWLINE);
    if (newline >= 0) return offset + newline + 1;
  }
  return size;
}
