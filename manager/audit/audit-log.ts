/** Writes the audit log: lines are only ever added, in the order in which they were given, many with one flush. */
import type { FileHandle } from 'node:fs/promises';
import { assert } from '#common/errors.ts';
import { makePrivateDirectory, syncDirectory } from '#common/system/atomic-file.ts';
import { type AuditEntry, type AuditPosition, auditLine, BEGINNING } from './audit-entry.ts';
import { AUDIT_FILE, namesOfFiles, pathOfAge } from './audit-files.ts';
import { type AuditTail, tailOf, tailOfPath } from './audit-tail.ts';
import type { AuditConfig } from './config.ts';
import { beginNext, openCurrent } from './rotate-files.ts';

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
  /** There may be something behind them: what a write left that failed, or was under way when the process died. */
  #isLonger: boolean;
  #position: AuditPosition;
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(
    directory: string,
    config: Pick<AuditConfig, 'fileBytes' | 'files'>,
    opened: { readonly file: FileHandle; readonly tail: AuditTail; readonly position: AuditPosition },
  ) {
    this.#directory = directory;
    this.#config = config;
    this.#file = opened.file;
    this.#bytes = opened.tail.bytes;
    this.#isLonger = opened.tail.size > opened.tail.bytes;
    this.#position = opened.position;
  }

  /** @throws SwarmError `corrupt-state` where the log ends with what its writer does not leave there: it was changed */
  static async open(directory: string, config: Pick<AuditConfig, 'fileBytes' | 'files'>): Promise<AuditLog> {
    assert(config.files >= 2, 'a file that is put aside is kept');
    await makePrivateDirectory(directory);
    const file = await openCurrent(directory);
    try {
      const tail = await tailOf(file, pathOfAge(directory, 0));
      const position = tail.position ?? (await positionBefore(directory)) ?? BEGINNING;
      return new AuditLog(directory, config, { file, tail, position });
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
    await this.#cutOff();
    this.#isLonger = true;
    await this.#file.writeFile(data);
    await this.#file.datasync();
    this.#isLonger = false;
    this.#bytes += data.length;
    this.#position = position;
  }

  /** What an attempt before left behind the last whole line. */
  async #cutOff(): Promise<void> {
    if (!this.#isLonger) return;
    await this.#file.truncate(this.#bytes);
    this.#isLonger = false;
  }

  async #putAside(): Promise<void> {
    await this.#cutOff();
    const file = await beginNext(this.#directory, this.#config.files);
    const before = this.#file;
    this.#file = file;
    this.#bytes = 0;
    await before.close();
    await syncDirectory(this.#directory);
  }
}

/** After the last line of the file that was put aside last: the daemon died before it wrote to the new one. */
async function positionBefore(directory: string): Promise<AuditPosition | undefined> {
  const name = (await namesOfFiles(directory)).findLast((one) => one !== AUDIT_FILE);
  return name === undefined ? undefined : (await tailOfPath(`${directory}/${name}`)).position;
}
