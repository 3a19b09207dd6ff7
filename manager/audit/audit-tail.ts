/** What a file of the audit log ends with: where the whole lines end, and what the last of them says. */
import { type FileHandle, open } from 'node:fs/promises';
import { SwarmError } from '#common/errors.ts';
import { type AuditPosition, LINE_BEGINNING, positionAfter } from './audit-entry.ts';

export interface AuditTail {
  /** Of the file. */
  readonly size: number;
  /** Up to and with the last line feed. What is behind was never wholly written. */
  readonly bytes: number;
  /** Undefined where there is no whole line. */
  readonly position: AuditPosition | undefined;
}

/** The longest line is some 3 KiB. */
const TAIL_BYTES = 64 * 1024;

/**
 * Behind the last whole line there may be what the writer leaves there when it dies or the power fails: the beginning of a
 * line, then zeros in any number, where the file had grown before its content was on the disk.
 * @throws SwarmError `corrupt-state` where there is anything else: somebody changed the file, and what they left is evidence
 */
export async function tailOf(file: FileHandle, path: string): Promise<AuditTail> {
  const { size } = await file.stat();
  const end = await endBeforeZeros(file, size);
  const start = Math.max(0, end - TAIL_BYTES);
  const tail = await bytesOf(file, start, end);
  const lineFeed = tail.lastIndexOf('\n');
  if (lineFeed < 0 && start > 0) throw damaged(path);
  if (!isBeginningOfLine(tail.subarray(lineFeed + 1))) throw damaged(path);
  if (lineFeed < 0) return { size, bytes: 0, position: undefined };
  const lines = tail.subarray(0, lineFeed);
  const position = positionAfter(lines.toString('utf8', lines.lastIndexOf('\n') + 1));
  if (position === undefined) throw damaged(path);
  return { size, bytes: start + lineFeed + 1, position };
}

/** As `tailOf`, of a file that is not open. */
export async function tailOfPath(path: string): Promise<AuditTail> {
  const file = await open(path, 'r');
  try {
    return await tailOf(file, path);
  } finally {
    await file.close();
  }
}

async function endBeforeZeros(file: FileHandle, size: number): Promise<number> {
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - TAIL_BYTES);
    const block = await bytesOf(file, start, end);
    const last = block.findLastIndex((byte) => byte !== 0);
    if (last >= 0) return start + last + 1;
    end = start;
  }
  return 0;
}

async function bytesOf(file: FileHandle, start: number, end: number): Promise<Buffer> {
  const buffer = Buffer.alloc(end - start);
  const { bytesRead } = await file.read(buffer, 0, buffer.length, start);
  return buffer.subarray(0, bytesRead);
}

function isBeginningOfLine(bytes: Buffer): boolean {
  const text = bytes.toString('latin1');
  return text.startsWith(LINE_BEGINNING) || LINE_BEGINNING.startsWith(text);
}

function damaged(path: string): SwarmError {
  return new SwarmError({
    code: 'data-loss',
    reason: 'corrupt-state',
    message: `${path} does not end with a line of the audit log: it was changed`,
    hint: 'put the file aside for whoever looks into it: the daemon then begins another one by itself',
  });
}
