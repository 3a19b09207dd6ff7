/** The lines of one container's log, those of rotated files too, and those to come. */
import { type FSWatcher, watch } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { hasErrno } from '#agent/kernel/libc.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import type { LogConfig } from './config.ts';
import { areNumbers, existingNumbers, inodeOf, numberedFile, openAll, openLogFile } from './log-files.ts';
import { type EndedLine, LineAssembler, type LogLine } from './log-line.ts';
import { findTail, RecordReader } from './record-reader.ts';

export interface LogQuery {
  readonly follow: boolean;
  /** Last lines; undefined means all. */
  readonly tail: number | undefined;
  readonly sinceNs: number | undefined;
  readonly untilNs: number | undefined;
  /** Lines since then are wanted, though they are more than the last ones that `tail` asks for. */
  readonly reachNs?: number | undefined;
}

/** Rotations that may come in between while the next file is looked for. */
const LOOKS_MAX = 20;
/** Timestamps in numbers are this coarse. */
const TIMESTAMP_STEP_NS = 256;

export interface LogSource {
  /** The current file. Others lie beside it. */
  readonly path: string;
  /** Resolves when nothing more will be written: a follower then ends. */
  readonly ended: Promise<unknown>;
  readonly config: LogConfig;
  readonly clock: Clock;
}

/** Reads until the end, or with `follow` until the container's; stops early when the signal aborts. */
export async function* readLog(source: LogSource, asked: LogQuery, signal: AbortSignal): AsyncGenerator<LogLine> {
  const { config } = source;
  const assembler = new LineAssembler(config.lineBytesMax);
  const handles = await openAll(source.path);
  try {
    const query = await reaching(handles, asked, config);
    const window = new TimeWindow(query);
    const readers = await startingPoints(handles, query, config);
    for (const reader of readers) {
      for (let records = await reader.next(); records !== undefined; records = await reader.next()) {
        if (signal.aborted) return;
        for (const record of records) {
          if (window.isAfter(record.timestampNs)) return;
          const line = assembler.add(record);
          if (line !== undefined && window.contains(line)) yield line;
        }
      }
    }
    if (query.follow) yield* followLog(source, readers.at(-1), handles, assembler, window, signal);
    for (const line of assembler.flush()) if (window.contains(line)) yield line;
  } finally {
    for (const handle of handles) await handle.close();
  }
}

class TimeWindow {
  #sinceNs: number;
  readonly #untilNs: number;
  #latestNs = Number.NEGATIVE_INFINITY;

  constructor(query: LogQuery) {
    this.#sinceNs = query.sinceNs ?? Number.NEGATIVE_INFINITY;
    this.#untilNs = query.untilNs ?? Number.POSITIVE_INFINITY;
  }

  /** A line that began before the time and came to its end after it is wanted. */
  contains({ timestampNs, endedNs }: EndedLine): boolean {
    return endedNs >= this.#sinceNs && timestampNs <= this.#untilNs;
  }

  /** Whether the record comes too late to be wanted. Called for every record. */
  isAfter(timestampNs: number): boolean {
    this.#latestNs = Math.max(this.#latestNs, timestampNs);
    return timestampNs > this.#untilNs;
  }

  /** From here on only what is later than all that was seen: the place in the log was lost. */
  onlyLater(): void {
    this.#sinceNs = Math.max(this.#sinceNs, this.#latestNs + TIMESTAMP_STEP_NS);
  }
}

/** The query without its tail, if that begins after what is wanted in any case. */
async function reaching(handles: readonly FileHandle[], query: LogQuery, config: LogConfig): Promise<LogQuery> {
  const { tail, reachNs, sinceNs } = query;
  if (tail === undefined || reachNs === undefined) return query;
  const [oldest] = await startingPoints(handles, query, config);
  const [first] = (await oldest?.next()) ?? [];
  if (first !== undefined && first.timestampNs < reachNs) return query;
  return { ...query, tail: undefined, sinceNs: Math.max(sinceNs ?? reachNs, reachNs) };
}

/** One reader a file that is worth reading, set to where the wanted lines begin. The oldest first. */
async function startingPoints(
  handles: readonly FileHandle[],
  query: LogQuery,
  config: LogConfig,
): Promise<readonly RecordReader[]> {
  const readers: RecordReader[] = [];
  let missing = query.tail;
  for (const handle of handles.toReversed()) {
    if (missing === undefined) readers.unshift(new RecordReader(handle, config.chunkBytes));
    else {
      const start = await findTail(handle, missing, config.chunkBytes, handle === handles.at(-1));
      readers.unshift(new RecordReader(handle, config.chunkBytes, start.offset));
      missing -= start.lines;
      if (start.offset > 0 || missing <= 0) break;
    }
    if (await beginsBefore(handle, query.sinceNs, config)) break;
  }
  return readers;
}

/** Whether all that is wanted lies in this file and in newer ones. */
async function beginsBefore(handle: FileHandle, sinceNs: number | undefined, config: LogConfig): Promise<boolean> {
  if (sinceNs === undefined) return false;
  const [first] = (await new RecordReader(handle, config.chunkBytes).next()) ?? [];
  return first !== undefined && first.timestampNs < sinceNs;
}

async function* followLog(
  source: LogSource,
  last: RecordReader | undefined,
  handles: FileHandle[],
  assembler: LineAssembler,
  window: TimeWindow,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const changes = new Changes(source, signal);
  let reader = last;
  try {
    for (;;) {
      // Asked before reading: what was written before the end is then read before we stop.
      const isOver = changes.isOver;
      let progressed = false;
      const records = reader === undefined ? undefined : await reader.next();
      for (const record of records ?? []) {
        progressed = true;
        if (window.isAfter(record.timestampNs)) return;
        const line = assembler.add(record);
        if (line !== undefined && window.contains(line)) yield line;
      }
      if (signal.aborted) return;
      if (records !== undefined || progressed) continue;
      const next = await nextFile(source.path, reader);
      if (next !== undefined) {
        // The monitor writes to the new one: the old one is complete, but may have grown since it was last read.
        if (reader !== undefined) {
          yield* rest(reader, assembler, window);
          handles.splice(handles.indexOf(reader.handle), 1);
          await reader.handle.close();
        }
        handles.push(next.handle);
        if (next.isLost) window.onlyLater();
        reader = new RecordReader(next.handle, source.config.chunkBytes);
        continue;
      }
      if (isOver) return;
      await reader?.noticeTruncation();
      await changes.wait();
    }
  } finally {
    changes.close();
  }
}

async function* rest(reader: RecordReader, assembler: LineAssembler, window: TimeWindow): AsyncGenerator<LogLine> {
  for (let records = await reader.next(); records !== undefined; records = await reader.next())
    for (const record of records) {
      const line = assembler.add(record);
      if (line !== undefined && window.contains(line)) yield line;
    }
}

interface NextFile {
  readonly handle: FileHandle;
  /** The file that was read is gone altogether: what follows it is not known. */
  readonly isLost: boolean;
}

/** The file after the one that is being read, opened; undefined when there is none yet. */
async function nextFile(path: string, reader: RecordReader | undefined): Promise<NextFile | undefined> {
  if (reader === undefined) return oldestFile(path, false);
  for (let look = 0; look < LOOKS_MAX; look++) {
    const { ino, nlink } = await reader.handle.stat({ bigint: true });
    if ((await inodeOf(path)) === ino) return undefined;
    if (nlink === 0n) break;
    const numbers = await existingNumbers(path);
    const [number, newer] = await withSuccessor(path, numbers, ino);
    if (number === undefined) continue; // a rotation has moved it since
    if (newer === undefined) return undefined;
    const handle = await openLogFile(numberedFile(path, newer));
    // Rotations move the oldest first: as long as this one is where it was, so was the newer. One that was in the
    // middle of it, with a gap for a file that was yet to be moved there, shows by the names.
    const isInPlace = (await inodeOf(numberedFile(path, number))) === ino && (await areNumbers(path, numbers));
    if (handle !== undefined && isInPlace) return { handle, isLost: false };
    await handle?.close();
  }
  return oldestFile(path, true);
}

/** The number of the file, and the next lower one. */
async function withSuccessor(
  path: string,
  numbers: readonly number[],
  ino: bigint,
): Promise<readonly (number | undefined)[]> {
  for (const [index, number] of numbers.entries())
    if ((await inodeOf(numberedFile(path, number))) === ino) return numbers.slice(index, index + 2);
  return [];
}

async function oldestFile(path: string, isLost: boolean): Promise<NextFile | undefined> {
  const [handle, ...newer] = await openAll(path);
  for (const other of newer) await other.close();
  return handle === undefined ? undefined : { handle, isLost };
}

/** Wakes a follower when the log's directory changes, the container ends, or some time has passed. */
class Changes {
  #wake: () => void = () => {};
  #pending = false;
  #over = false;
  readonly #watcher: FSWatcher | undefined;
  readonly #source: LogSource;
  #cancelPoll: CancelTimer = () => {};
  readonly #signal: AbortSignal;
  readonly #notify = (): void => {
    this.#pending = true;
    this.#wake();
  };

  constructor(source: LogSource, signal: AbortSignal) {
    this.#source = source;
    this.#signal = signal;
    try {
      this.#watcher = watch(dirname(source.path), { persistent: false }, this.#notify);
      this.#watcher.on('error', this.#notify);
    } catch (error) {
      if (!hasErrno(error, 'ENOENT', 'ENOSPC', 'EMFILE')) throw error;
    }
    signal.addEventListener('abort', this.#notify, { once: true });
    void source.ended.then(() => {
      this.#over = true;
      this.#notify();
    });
  }

  get isOver(): boolean {
    return this.#over;
  }

  async wait(): Promise<void> {
    if (!this.#pending)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#cancelPoll = this.#source.clock.setTimer(this.#source.config.followPollMs, resolve);
      });
    this.#cancelPoll();
    this.#pending = false;
  }

  close(): void {
    this.#cancelPoll();
    this.#watcher?.close();
    this.#signal.removeEventListener('abort', this.#notify);
  }
}
