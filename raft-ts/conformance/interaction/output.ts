import type { Logger } from '../../src/index.ts';
import { FormatError } from '../data-file.ts';

const LEVELS = ['DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL', 'NONE'] as const;
const QUIET = LEVELS.length - 1;

/** What a case prints: the nodes' logs from a level up, and the harness's own lines unless the level is `none`. */
export class Output implements Logger {
  #text = '';
  #level = 0;

  get level(): number {
    return this.#level;
  }

  set level(level: number) {
    this.#level = level;
  }

  get quiet(): boolean {
    return this.#level === QUIET;
  }

  get text(): string {
    return this.#text;
  }

  setLevel(name: string): void {
    const level = LEVELS.findIndex((one) => one === name.toUpperCase());
    if (level < 0) throw new FormatError(`log levels must be either of [${LEVELS.join(' ')}]`);
    this.#level = level;
  }

  reset(): void {
    this.#text = '';
  }

  write(text: string): void {
    if (!this.quiet) this.#text += text;
  }

  /** Runs something whose lines are indented. */
  indented(run: () => void): void {
    const before = this.#text;
    this.#text = '';
    try {
      run();
    } finally {
      const lines = this.#text.replace(/\n$/, '').split('\n');
      const body = this.#text === '' ? '' : lines.map((line) => `  ${line}\n`).join('');
      this.#text = before + body;
    }
  }

  debug(text: string): void {
    this.#log(0, text);
  }

  info(text: string): void {
    this.#log(1, text);
  }

  warning(text: string): void {
    this.#log(2, text);
  }

  error(text: string): void {
    this.#log(3, text);
  }

  #log(level: number, text: string): void {
    if (this.#level <= level) this.#text += `${LEVELS[level]} ${text}\n`;
  }
}
