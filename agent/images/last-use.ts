import { mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '#common/clock.ts';
import { isImageId } from '#common/image-reference.ts';
import type { Logger } from '#common/log.ts';

/**
 * When each image was last used or named: one empty file per image, whose modification time it is. Nothing to corrupt,
 * and nothing lost but the last moment when the power goes.
 */
export class LastUse {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(directory: string, clock: Clock, logger: Logger) {
    this.#directory = directory;
    this.#clock = clock;
    this.#logger = logger;
  }

  async prepare(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
  }

  /** Never throws: an image that looks older than it is costs one more pull. */
  async touch(imageId: string): Promise<void> {
    if (!isImageId(imageId)) return;
    const path = join(this.#directory, imageId);
    const seconds = this.#clock.now() / 1000;
    try {
      await utimes(path, seconds, seconds).catch(async () => {
        await writeFile(path, '', { mode: 0o600 });
        await utimes(path, seconds, seconds);
      });
    } catch (error) {
      this.#logger.debug('cannot note the use of an image', { imageId, error: String(error) });
    }
  }

  /** Milliseconds since the epoch; 0 when it is not known. */
  async of(imageId: string): Promise<number> {
    const found = await stat(join(this.#directory, imageId)).catch(() => undefined);
    return found?.mtimeMs ?? 0;
  }

  /** Forgets images that are gone. */
  async keepOnly(imageIds: ReadonlySet<string>): Promise<void> {
    for (const name of await readdir(this.#directory).catch(() => []))
      if (!imageIds.has(name)) await rm(join(this.#directory, name), { force: true }).catch(() => {});
  }
}
