/** The files of the audit log, as whoever reads them finds them: `audit.log` and, before it, `audit.log.1`, `.2`, ... */
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { SwarmError } from '#common/errors.ts';
import { BEGINNING, positionAfter } from './audit-entry.ts';

export const AUDIT_FILE = 'audit.log';

export interface FileLine {
  /** Without the line feed. */
  readonly text: string;
  /** `audit.log.1`, and the number of the line in it, from 1. */
  readonly file: string;
  readonly line: number;
}

/**
 * Every whole line of the log in a directory, oldest first. What is being written is left out.
 * @throws SwarmError `out-of-sequence` when files are put aside faster than they can be opened
 */
export async function* linesOfLog(directory: string): AsyncGenerator<FileLine> {
  const files = await openFiles(directory);
  try {
    for (const { name, handle } of files) yield* linesOfFile(name, handle);
  } finally {
    await closeFiles(files);
  }
}

interface OpenFile {
  readonly name: string;
  readonly handle: FileHandle;
}

/** A file is put aside every few hours at most: one further attempt is already much. */
const ATTEMPTS = 10;

/** All are opened before any is read, and none was put aside meanwhile. */
async function openFiles(directory: string): Promise<readonly OpenFile[]> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const files: OpenFile[] = [];
    let isTheLog = false;
    try {
      for (const name of await namesOfFiles(directory))
        files.push({ name, handle: await open(`${directory}/${name}`, 'r') });
      isTheLog = await areStillThere(directory, files);
      if (isTheLog) return files;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    } finally {
      if (!isTheLog) await closeFiles(files);
    }
  }
  throw new SwarmError({
    code: 'conflict',
    reason: 'out-of-sequence',
    message: `the files of ${directory} are put aside while they are opened`,
    hint: 'try again',
  });
}

/** Each under its name. When ten are kept the names are the same before and after one is put aside: the files are not. */
async function areStillThere(directory: string, files: readonly OpenFile[]): Promise<boolean> {
  const names = await namesOfFiles(directory);
  if (names.join() !== files.map(({ name }) => name).join()) return false;
  for (const { name, handle } of files)
    if ((await stat(`${directory}/${name}`)).ino !== (await handle.stat()).ino) return false;
  return true;
}

async function closeFiles(files: readonly OpenFile[]): Promise<void> {
  await Promise.all(files.map(({ handle }) => handle.close()));
}

/** Every whole line of one file. */
export async function* linesOfPath(path: string): AsyncGenerator<FileLine> {
  const handle = await open(path, 'r');
  try {
    yield* linesOfFile(path, handle);
  } finally {
    await handle.close();
  }
}

async function* linesOfFile(file: string, handle: FileHandle): AsyncGenerator<FileLine> {
  const { size } = await handle.stat();
  if (size === 0) return;
  const last = Buffer.alloc(1);
  await handle.read(last, 0, 1, size - 1);
  const endsWhole = last[0] === LINE_FEED;
  const input = handle.createReadStream({ start: 0, end: size - 1, autoClose: false });
  let line = 0;
  let waiting: FileLine | undefined;
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (waiting !== undefined) yield waiting;
    waiting = { text, file, line: ++line };
  }
  if (waiting !== undefined && endsWhole) yield waiting;
}

const LINE_FEED = 10;

/** Oldest first. */
export async function namesOfFiles(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => /^audit\.log(\.[1-9]\d{0,5})?$/.test(name)).sort((a, b) => ageOf(b) - ageOf(a));
}

export function pathOfAge(directory: string, age: number): string {
  return `${directory}/${AUDIT_FILE}${age === 0 ? '' : `.${age}`}`;
}

/** Of a file of the log by its name: 0 for the one that is written, 1 for the one before it. */
export function ageOf(name: string): number {
  return Number(name.slice(AUDIT_FILE.length + 1) || 0);
}

export interface Verification {
  readonly lines: number;
  /** Of the last line; empty when there is none. */
  readonly lastHash: string;
  /** What is wrong with the first line that is not as it was written. */
  readonly problem: string | undefined;
}

/** Follows the chain. The first line has to be believed: those before it were put off the disk by the limit of files. */
export async function verifyLines(lines: AsyncIterable<FileLine>): Promise<Verification> {
  let before = BEGINNING;
  let count = 0;
  for await (const { text, file, line } of lines) {
    const at = `line ${line} of ${file}`;
    const read = positionAfter(text);
    const problem = (why: string): Verification => ({ lines: count, lastHash: before.hash, problem: `${at} ${why}` });
    if (read === undefined) return problem('cannot be read: it was changed');
    if (count > 0 && read.number !== before.number + 1)
      return problem(
        `has number ${read.number} and follows number ${before.number}: lines are missing, or were put in`,
      );
    if (count > 0 && read.previous !== before.hash)
      return problem('does not follow from the line before: one of the two was changed');
    if (count === 0 && read.number === 1 && read.previous !== '')
      return problem('is the first one and follows another');
    before = read;
    count++;
  }
  return { lines: count, lastHash: before.hash, problem: undefined };
}
