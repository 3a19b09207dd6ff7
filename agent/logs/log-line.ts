/** One record of a log file as conmon writes it: `TIME STREAM FLAG TEXT`. Pure. */

export type LogStreamName = 'stdout' | 'stderr';

export interface LogRecord {
  /** Since the epoch; the last digits are lost in a number (steps of 256 ns). */
  readonly timestampNs: number;
  readonly stream: LogStreamName;
  /** The line goes on in the next record of the same stream. */
  readonly isPartial: boolean;
  readonly data: Buffer;
}

/** One line as the program printed it, without its newline. */
export interface LogLine {
  readonly timestampNs: number;
  readonly stream: LogStreamName;
  readonly data: Buffer;
}

const SPACE = 0x20;
const PARTIAL = 0x50; // P
const FULL = 0x46; // F
/** Longest beginning of a record up to its flag: "2026-11-21T03:15:38.382338805+00:00 stdout F ". */
export const HEADER_BYTES = 48;
const NANOS_PER_MS = 1e6;

/** "2026-11-21T03:15:38.382338805+00:00" in nanoseconds since the epoch; undefined for what is not a time. */
export function parseTimestamp(text: string): number | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (match === null) return undefined;
  const ms = Date.parse(`${match[1]}${match[3]}`);
  if (Number.isNaN(ms)) return undefined;
  return ms * NANOS_PER_MS + Number((match[2] ?? '').padEnd(9, '0'));
}

/** The flag of the record that begins at `start`; undefined when the header is not whole or not one. */
export function flagAt(bytes: Buffer, start: number): 'partial' | 'full' | undefined {
  const first = bytes.indexOf(SPACE, start);
  const second = first < 0 ? -1 : bytes.indexOf(SPACE, first + 1);
  if (second < 0 || second - start > HEADER_BYTES) return undefined;
  const flag = bytes[second + 1];
  return flag === PARTIAL ? 'partial' : flag === FULL ? 'full' : undefined;
}

/** Reads a record, without its newline; undefined for what a torn write or a stranger left in the file. */
export function parseRecord(bytes: Buffer): LogRecord | undefined {
  const first = bytes.indexOf(SPACE);
  const second = first < 0 ? -1 : bytes.indexOf(SPACE, first + 1);
  const flag = flagAt(bytes, 0);
  if (second < 0 || flag === undefined || bytes[second + 2] !== SPACE) return undefined;
  const timestampNs = parseTimestamp(bytes.toString('latin1', 0, first));
  const stream = bytes.toString('latin1', first + 1, second);
  if (timestampNs === undefined || (stream !== 'stdout' && stream !== 'stderr')) return undefined;
  return { timestampNs, stream, isPartial: flag === 'partial', data: bytes.subarray(second + 3) };
}

/** A line, with when it came to its end; its own time is that of its first piece. */
export interface EndedLine extends LogLine {
  readonly endedNs: number;
}

/** Puts the pieces of long lines together, each stream for itself. */
export class LineAssembler {
  readonly #bytesMax: number;
  readonly #pending = new Map<
    LogStreamName,
    { readonly timestampNs: number; endedNs: number; pieces: Buffer[]; bytes: number }
  >();

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The line that the record completes, or fills to the limit; undefined while it goes on. */
  add(record: LogRecord): EndedLine | undefined {
    const { stream, timestampNs } = record;
    const pending = this.#pending.get(stream);
    if (pending === undefined && !record.isPartial)
      return { timestampNs, endedNs: timestampNs, stream, data: record.data };
    const line = pending ?? { timestampNs, endedNs: timestampNs, pieces: [], bytes: 0 };
    line.endedNs = timestampNs;
    line.pieces.push(record.data);
    line.bytes += record.data.length;
    if (record.isPartial && line.bytes < this.#bytesMax) {
      this.#pending.set(stream, line);
      return undefined;
    }
    this.#pending.delete(stream);
    const { endedNs } = line;
    return { timestampNs: line.timestampNs, endedNs, stream, data: Buffer.concat(line.pieces, line.bytes) };
  }

  /** What has come of unfinished lines: for the end of the log. */
  flush(): readonly EndedLine[] {
    const lines = [...this.#pending].map(([stream, line]) => ({
      timestampNs: line.timestampNs,
      endedNs: line.endedNs,
      stream,
      data: Buffer.concat(line.pieces, line.bytes),
    }));
    this.#pending.clear();
    return lines;
  }
}
