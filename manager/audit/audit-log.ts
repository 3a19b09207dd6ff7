/** Writes the audit log: lines are only ever added, in the order in which they were given, many with one flush. */
import { chmod, type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { assert, SwarmError } from '#common/errors.ts';
import { type AuditEntry, type AuditPosition, auditLine, BEGINNING, positionAfter } from './audit-entry.ts';
import { AUDIT_FILE, namesOfFiles } from './audit-files.ts';
import type { AuditConfig } from './config.ts';

const MODE = 0o600;
const DIRECTORY_MODE = 0o700;
/** The longest line is some 3 KiB; what is behind the last line feed is shorter. */
const TAIL_BYTES = 64 * 1024;

/**
 * One writer for a directory. A line that was half written when the process died is cut off when it is opened, as is what a
 * full disk left behind.
 */
export class AuditLog {
  readonly #directory: string;
  readonly #config: Pick<AuditConfig, 'fileBytes' | 'files'>;
  #file: FileHandle;
  /** Of whole lines in the file: everything behind is cut off. */
  #bytes: number;
  #position: AuditPosition;
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(
    directory: string,
    config: Pick<AuditConfig, 'fileBytes' | 'files'>,
    opened: { readonly file: FileHandle; readonly bytes: number; readonly position: AuditPosition },
  ) {
    this.#directory = directory;
    this.#config = config;
    this.#file = opened.file;
    this.#bytes = opened.bytes;
    this.#position = opened.position;
  }

  /** @throws SwarmError `corrupt-state` where the last line is none: it was changed */
  static async open(directory: string, config: Pick<AuditConfig, 'fileBytes' | 'files'>): Promise<AuditLog> {
    assert(config.files >= 2, 'a file that is put aside is kept');
    await mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
    await chmod(directory, DIRECTORY_MODE);
    const file = await openFile(directory);
    try {
      const tail = await wholeLines(file);
      const last = tail.last ?? (await lastLineBefore(directory));
      const position = last === undefined ? BEGINNING : positionAfter(last);
      if (position === undefined) throw damaged(directory);
      return new AuditLog(directory, config, { file, bytes: tail.bytes, position });
    } catch (thrown) {
      await file.close();
      throw thrown;
    }
  }

  /** What the next line follows. Lines that are on their way are not in it. */
  get position(): AuditPosition {
    return this.#position;
  }

  /**
   * Resolves when they are on the disk; after `close` they are dropped. When it rejects none of them counts, and nothing of
   * them is left in the file once something is written again.
   */
  append(entries: readonly AuditEntry[]): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const work = this.#turn.then(() => this.#write(entries));
    this.#turn = work.catch(() => {});
    return work;
  }

  /** Writes what was given before. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#turn;
    await this.#file.close();
  }

  async #write(entries: readonly AuditEntry[]): Promise<void> {
    if (entries.length === 0) return;
    let position = this.#position;
    const lines: string[] = [];
    for (const entry of entries) {
      const line = auditLine(entry, position);
      lines.push(line.text);
      position = line.position;
    }
    const data = Buffer.from(`${lines.join('\n')}\n`);
    if (this.#bytes > 0 && this.#bytes + data.length > this.#config.fileBytes) await this.#putAside();
    // What an attempt before left behind the last whole line goes first.
    if ((await this.#file.stat()).size !== this.#bytes) await this.#file.truncate(this.#bytes);
    await this.#file.writeFile(data);
    await this.#file.datasync();
    this.#bytes += data.length;
    this.#position = position;
  }

  /** `audit.log` becomes `audit.log.1`, that one `.2`, and so on; the oldest goes. */
  async #putAside(): Promise<void> {
    const path = (age: number): string => `${this.#directory}/${AUDIT_FILE}${age === 0 ? '' : `.${age}`}`;
    await this.#file.truncate(this.#bytes);
    await rm(path(this.#config.files - 1), { force: true });
    for (let age = this.#config.files - 2; age >= 0; age--)
      await rename(path(age), path(age + 1)).catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      });
    const file = await openFile(this.#directory);
    await this.#file.close();
    this.#file = file;
    this.#bytes = 0;
  }
}

async function openFile(directory: string): Promise<FileHandle> {
  // Appending: whatever the position, nothing that is there is written over.
  const file = await open(`${directory}/${AUDIT_FILE}`, 'a+', MODE);
  await file.chmod(MODE);
  return file;
}

interface Tail {
  /** Up to and with the last line feed. */
  readonly bytes: number;
  /** The last whole line; undefined where there is none. */
  readonly last: string | undefined;
}

async function wholeLines(file: FileHandle): Promise<Tail> {
  const { size } = await file.stat();
  const start = Math.max(0, size - TAIL_BYTES);
  const buffer = Buffer.alloc(size - start);
  await file.read(buffer, 0, buffer.length, start);
  const end = buffer.lastIndexOf('\n');
  if (end < 0) return { bytes: 0, last: undefined };
  const begin = buffer.lastIndexOf('\n', end - 1) + 1;
  return { bytes: start + end + 1, last: buffer.toString('utf8', end === 0 ? 0 : begin, end) };
}

/** Of the file that was put aside last: the daemon died before it wrote to the new one. */
async function lastLineBefore(directory: string): Promise<string | undefined> {
  const name = (await namesOfFiles(directory)).findLast((one) => one !== AUDIT_FILE);
  if (name === undefined) return undefined;
  const file = await open(`${directory}/${name}`, 'r');
  try {
    return (await wholeLines(file)).last;
  } finally {
    await file.close();
  }
}

function damaged(directory: string): SwarmError {
  return new SwarmError({
    code: 'data-loss',
    reason: 'corrupt-state',
    message: `the last line of ${directory}/${AUDIT_FILE} is none of the audit log: it was changed`,
    hint: 'put the file aside for whoever looks into it, then restart the daemon: it begins another one',
  });
}
