const NEWLINE = 0x0a;

/** Cuts a stream of bytes into lines. A line that is longer than the bound arrives in pieces of that size. */
export class LineSplitter {
  readonly #lineBytesMax: number;
  readonly #onLine: (line: string) => void;
  #pieces: Buffer[] = [];
  #pieceBytes = 0;

  constructor(lineBytesMax: number, onLine: (line: string) => void) {
    this.#lineBytesMax = lineBytesMax;
    this.#onLine = onLine;
  }

  push(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      const newline = rest.indexOf(NEWLINE);
      const room = this.#lineBytesMax - this.#pieceBytes;
      const wanted = newline === -1 ? rest.length : newline;
      const taken = Math.min(wanted, room);
      this.#pieces.push(rest.subarray(0, taken));
      this.#pieceBytes += taken;
      const complete = newline === taken;
      if (complete || taken === room) this.#flush();
      rest = rest.subarray(taken + (complete ? 1 : 0));
    }
  }

  /** What came after the last newline, if anything. */
  finish(): void {
    if (this.#pieceBytes > 0) this.#flush();
  }

  #flush(): void {
    const line = Buffer.concat(this.#pieces).toString('utf8');
    this.#pieces = [];
    this.#pieceBytes = 0;
    this.#onLine(line.endsWith('\r') ? line.slice(0, -1) : line);
  }
}
