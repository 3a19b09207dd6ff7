import type { DiskFile } from '../disk/disk.ts';

const WINDOW_BYTES = 1024 * 1024;

/** Reads a file from front to back in large pieces; what it returns is valid until the next call. */
export class WindowReader {
  readonly #file: DiskFile;
  #window: Uint8Array = new Uint8Array(0);
  #start = 0;

  constructor(file: DiskFile) {
    this.#file = file;
  }

  /** `length` bytes at the offset; fewer only at the end of the file. */
  async at(offset: number, length: number): Promise<Uint8Array> {
    const inside = offset >= this.#start && offset + length <= this.#start + this.#window.length;
    if (!inside) {
      this.#window = await this.#file.read(offset, Math.max(length, WINDOW_BYTES));
      this.#start = offset;
    }
    const from = offset - this.#start;
    return this.#window.subarray(from, from + length);
  }
}
