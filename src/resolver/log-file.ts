/** A log of bounded size for a process that has no service manager to write to. */
import { appendFileSync, renameSync, statSync } from 'node:fs';
import type { LogFields, Logger } from '#common/log.ts';

/** Two files of this size at most. */
const BYTES_MAX = 512 * 1024;
/** A program that has gone mad does not write all day: so many lines a minute. */
const LINES_PER_MINUTE = 120;

/** JSON lines like the daemon's. Lines are rare, so each is written at once and none is lost. */
export class LogFile implements Logger {
  readonly #path: string;
  readonly #fields: LogFields;
  readonly #count: { lines: number; minute: number };

  constructor(path: string, fields: LogFields = {}, count = { lines: 0, minute: 0 }) {
    this.#path = path;
    this.#fields = fields;
    this.#count = count;
  }

  debug(): void {}

  info(message: string, fields?: LogFields): void {
    this.#write('info', message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#write('warn', message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#write('error', message, fields);
  }

  with(fields: LogFields): Logger {
    return new LogFile(this.#path, { ...this.#fields, ...fields }, this.#count);
  }

  #write(level: string, message: string, fields: LogFields | undefined): void {
    const now = new Date();
    const minute = Math.floor(now.getTime() / 60_000);
    if (minute !== this.#count.minute) Object.assign(this.#count, { minute, lines: 0 });
    if (this.#count.lines++ >= LINES_PER_MINUTE) return;
    const line = JSON.stringify({ level, time: now.toISOString(), ...this.#fields, ...fields, msg: message });
    try {
      if ((statSync(this.#path, { throwIfNoEntry: false })?.size ?? 0) > BYTES_MAX)
        renameSync(this.#path, `${this.#path}.1`);
      appendFileSync(this.#path, `${line}\n`, { mode: 0o600 });
    } catch {
      // A full disk, a directory that is gone: answering goes on.
    }
  }
}
