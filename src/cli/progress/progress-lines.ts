/** Lines that change in place: `overall progress: 2 out of 3 tasks`. */
import { visibleLine, visibleText } from '#common/readable-text.ts';
import { type CliEnvironment, mayDraw, type OutputStream } from '../environment.ts';

export interface ProgressLine {
  readonly id: string;
  readonly text: string;
  /** Share that is done, for a bar where there is room. */
  readonly done?: number;
}

export interface ProgressLines {
  /** Shows the line, in place of an earlier one with the same id. */
  show(line: ProgressLine): void;
  /** A line of its own, below all others. */
  message(text: string): void;
}

/** Terminals narrower than this get no bars. */
const COLUMNS_FOR_BAR = 110;
const BAR_COLUMNS = 50;

/** On a terminal lines are drawn over; elsewhere a line is written when its text has changed, and bars not at all. */
export function progressLines(stream: OutputStream, environment: CliEnvironment): ProgressLines {
  const lines = mayDraw(stream, environment) ? new DrawnLines(stream) : new WrittenLines(stream);
  // Names of nodes and what they say are in the lines: they move no cursor, and take no line of another.
  return {
    show: (line) => lines.show({ ...line, id: visibleLine(line.id), text: visibleLine(line.text) }),
    message: (text) => lines.message(visibleText(text)),
  };
}

class WrittenLines implements ProgressLines {
  readonly #stream: OutputStream;
  readonly #shown = new Map<string, string>();

  constructor(stream: OutputStream) {
    this.#stream = stream;
  }

  show({ id, text, done }: ProgressLine): void {
    if (done !== undefined || this.#shown.get(id) === text) return;
    this.#shown.set(id, text);
    this.#stream.write(`${id}: ${text}\n`);
  }

  message(text: string): void {
    this.#stream.write(`${text}\n`);
  }
}

class DrawnLines implements ProgressLines {
  readonly #stream: OutputStream;
  readonly #rows = new Map<string, number>();

  constructor(stream: OutputStream) {
    this.#stream = stream;
  }

  show(line: ProgressLine): void {
    let row = this.#rows.get(line.id);
    let text = '';
    if (row === undefined) {
      row = this.#rows.size;
      this.#rows.set(line.id, row);
      text += '\n';
    }
    const up = this.#rows.size - row;
    text += `\x1b[${up}A\x1b[2K\r${line.id}: ${line.text} ${this.#bar(line.done)}\r\x1b[${up}B`;
    this.#stream.write(text);
  }

  #bar(done: number | undefined): string {
    if (done === undefined || (this.#stream.columns ?? 0) <= COLUMNS_FOR_BAR) return '';
    const filled = Math.min(BAR_COLUMNS, Math.trunc(Math.trunc(done * 100) / 2));
    return `[${'='.repeat(filled)}>${' '.repeat(BAR_COLUMNS - filled)}] `;
  }

  message(text: string): void {
    this.#stream.write(`${text}\n`);
  }
}
