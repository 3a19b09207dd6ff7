import type { VirtualTime } from './virtual-time.ts';

const FNV_PRIME = 16_777_619;
const FNV_START = 2_166_136_261;

/** What happened, line by line: hashed always, since the same seed has to give the same, and kept on demand. */
export class Trace {
  readonly #time: VirtualTime;
  readonly #onLine: ((line: string) => void) | undefined;
  #low = FNV_START;
  #high = FNV_START ^ 0x5bd1e995;

  constructor(time: VirtualTime, onLine: ((line: string) => void) | undefined) {
    this.#time = time;
    this.#onLine = onLine;
  }

  get hash(): string {
    return [this.#high, this.#low].map((part) => (part >>> 0).toString(16).padStart(8, '0')).join('');
  }

  write(text: () => string): void {
    const line = `${this.#time.nowMs.toFixed(3).padStart(11)}  ${text()}`;
    for (let at = 0; at < line.length; at++) {
      const code = line.charCodeAt(at);
      this.#low = Math.imul(this.#low ^ code, FNV_PRIME);
      this.#high = Math.imul(this.#high ^ (code + at), FNV_PRIME) ^ (this.#high >>> 15);
    }
    this.#onLine?.(line);
  }
}
