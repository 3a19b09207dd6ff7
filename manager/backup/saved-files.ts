import { basename, join } from 'node:path';
import { type Disk, writeSealed } from '#manager/log/index.ts';

export interface SavedFile {
  readonly name: string;
  readonly savedAtMs: number;
  /** The commit that it includes. */
  readonly version: number;
}

/** swarm-<cluster>-<20261121T081226123Z>-<version>.snapshot */
const NAME = /^swarm-([0-9a-z]{25})-(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})(\d{3})Z-(\d{1,16})\.snapshot$/;

/** The time in UTC as it stands in names of files. */
export function timeInName(timeMs: number): string {
  return new Date(timeMs).toISOString().replaceAll(/[-:.]/g, '');
}

/**
 * The directory that scheduled saves of one cluster go to. Each file is whole or not there. Files of other clusters, and
 * whatever else somebody put there, are left alone.
 */
export class SavedFiles {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #clusterId: string;

  constructor(disk: Disk, directory: string, clusterId: string) {
    this.#disk = disk;
    this.#directory = directory;
    this.#clusterId = clusterId;
  }

  /** Newest first. Makes the directory and removes what an interrupted save has left. */
  async open(): Promise<readonly SavedFile[]> {
    await this.#disk.makeDirectory(this.#directory);
    for (const name of await this.#disk.list(this.#directory)) {
      if (!name.endsWith('.tmp') || this.#fileOf(name.slice(0, -'.tmp'.length)) === undefined) continue;
      await this.#disk.remove(join(this.#directory, name));
    }
    return this.list();
  }

  async list(): Promise<readonly SavedFile[]> {
    const files: SavedFile[] = [];
    for (const name of await this.#disk.list(this.#directory)) {
      const file = this.#fileOf(name);
      if (file !== undefined) files.push(file);
    }
    return files.sort((left, right) => right.savedAtMs - left.savedAtMs || right.version - left.version);
  }

  pathOf(savedAtMs: number, version: number): string {
    return join(this.#directory, `swarm-${this.#clusterId}-${timeInName(savedAtMs)}-${version}.snapshot`);
  }

  /** Durable under its name when this resolves with its size; leaves nothing behind when it rejects. */
  async write(path: string, pieces: AsyncIterable<Uint8Array>, syncBytes: number): Promise<number> {
    const temporary = `${path}.tmp`;
    let bytes: number;
    try {
      const file = await this.#disk.open(temporary, 'create');
      try {
        bytes = await writeSealed(file, pieces, syncBytes);
      } finally {
        await file.close();
      }
      await this.#disk.rename(temporary, path);
    } catch (thrown) {
      await this.#disk.remove(temporary).catch(() => {});
      throw thrown;
    }
    await this.#disk.syncDirectory(this.#directory);
    return bytes;
  }

  /** Removes all but the newest ones, and never the one that was just made, though its clock may say otherwise. */
  async prune(keep: number, made: string): Promise<void> {
    const others = (await this.list()).filter(({ name }) => name !== basename(made));
    const surplus = others.slice(keep - 1);
    for (const { name } of surplus) await this.#disk.remove(join(this.#directory, name));
    if (surplus.length > 0) await this.#disk.syncDirectory(this.#directory);
  }

  #fileOf(name: string): SavedFile | undefined {
    const match = NAME.exec(name);
    if (match === null || match[1] !== this.#clusterId) return undefined;
    const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, ms = 0, version = 0] = match
      .slice(2)
      .map(Number);
    return { name, savedAtMs: Date.UTC(year, month - 1, day, hour, minute, second, ms), version };
  }
}
