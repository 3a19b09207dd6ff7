import { open, rm } from 'node:fs/promises';
import type { Logger } from '#common/log.ts';

const CHUNK = Buffer.alloc(64 * 1024, 0xff);

/**
 * A file that takes up space for nothing, until the disk is so full that nothing can be removed any more: removing an
 * image writes lists anew. Then it goes first.
 */
export class EmergencySpace {
  readonly #path: string;
  readonly #bytes: number;
  readonly #logger: Logger;

  constructor(path: string, bytes: number, logger: Logger) {
    this.#path = path;
    this.#bytes = bytes;
    this.#logger = logger;
  }

  /** Takes the space, if it is there to be taken. Never throws. */
  async take(): Promise<void> {
    try {
      const file = await open(this.#path, 'w', 0o600);
      try {
        for (let written = 0; written < this.#bytes; written += CHUNK.length) await file.write(CHUNK);
      } finally {
        await file.close();
      }
    } catch (error) {
      // A part of it is better than nothing.
      this.#logger.warn('cannot keep space for emergencies', { path: this.#path, error: String(error) });
    }
  }

  /** Does the work with the space given back; takes it again afterwards. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    await rm(this.#path, { force: true });
    try {
      return await work();
    } finally {
      await this.take();
    }
  }
}
