/** The records of one node's volumes, with a directory each for the data of those that are kept here. */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import type { Clock } from '#common/clock.ts';
import { checkVolumeName, parseVolumeRecord, type VolumeRecord } from './volume-record.ts';

/** Roots of volumes, as Docker makes them; the directories above are closed to everyone but root. */
const DATA_MODE = 0o755;
/** No name begins like this: what is moved there is no volume any more. */
const REMOVED_PREFIX = '.removed-';
/** Names of uses are ids of tasks. */
const TASK_ID = /^[a-zA-Z0-9_-]{1,64}$/;

export type NewVolume = Pick<VolumeRecord, 'name' | 'labels' | 'owner' | 'driver' | 'driverOptions'>;

export class VolumeStore {
  readonly #directory: string;
  readonly #clock: Clock;

  /** `directory` is made when first needed, with mode 0700. */
  constructor(directory: string, clock: Clock) {
    this.#directory = directory;
    this.#clock = clock;
  }

  #pathOf(name: string): string {
    checkVolumeName(name);
    return `${this.#directory}/${name}`;
  }

  /** Where data of the node's own volumes is. */
  dataDirectory(name: string): string {
    return `${this.#pathOf(name)}/_data`;
  }

  /** A record for a volume that is not there yet; nothing is written. */
  newRecord(volume: NewVolume): VolumeRecord {
    return { version: 1, ...volume, createdAtMs: this.#clock.now(), phase: 'creating', filling: false };
  }

  async makeDataDirectory(name: string): Promise<void> {
    await mkdir(this.#pathOf(name), { recursive: true, mode: 0o700 });
    await mkdir(this.dataDirectory(name), { recursive: true, mode: DATA_MODE });
  }

  /** Replaces the record, whole or not at all. A directory without one is no volume yet, and is taken over. */
  async write(record: VolumeRecord): Promise<VolumeRecord> {
    const path = this.#pathOf(record.name);
    await mkdir(path, { recursive: true, mode: 0o700 });
    // An anonymous one goes when the power does: its task does not come back.
    const flush = record.owner === undefined;
    await writeFile(`${path}/volume.json.new`, JSON.stringify(record), { mode: 0o600, flush });
    await rename(`${path}/volume.json.new`, `${path}/volume.json`);
    return record;
  }

  async inspect(name: string): Promise<VolumeRecord | undefined> {
    try {
      return parseVolumeRecord(await readFile(`${this.#pathOf(name)}/volume.json`, 'utf8'));
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  /** By name, in every phase. */
  async list(): Promise<readonly VolumeRecord[]> {
    const records: VolumeRecord[] = [];
    for (const name of (await this.#entries()).sort()) {
      const record = await this.inspect(name).catch(() => undefined);
      if (record?.name === name) records.push(record);
    }
    return records;
  }

  /** Forgets the volume and removes what is kept of it here. Nothing may be mounted below its directory. */
  async discard(name: string): Promise<void> {
    const removed = `${this.#directory}/${REMOVED_PREFIX}${name}.${randomBytes(4).toString('hex')}`;
    try {
      // One step: after a crash there is either the whole volume or none.
      await rename(this.#pathOf(name), removed);
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return;
      throw error;
    }
    await rm(removed, { recursive: true, force: true });
  }

  /** Removes what crashes left: data of volumes that were removed, directories of some that were never made. */
  async sweep(): Promise<void> {
    for (const entry of await this.#entries()) {
      const path = `${this.#directory}/${entry}`;
      if (entry.startsWith(REMOVED_PREFIX)) await rm(path, { recursive: true, force: true });
      else if (!(await readdir(path).catch(() => ['unknown'])).some((name) => name !== '_data')) {
        // Without a record. Whatever has something in it stays: somebody may have put it there.
        await rmdir(`${path}/_data`).catch(() => {});
        await rmdir(path).catch(() => {});
      }
    }
  }

  async isEmpty(directory: string): Promise<boolean> {
    return (await readdir(directory)).length === 0;
  }

  /** Written before a driver is told that a task uses the volume, so that it is told of the end even after a crash. */
  async noteUse(name: string, taskId: string): Promise<void> {
    const uses = `${this.#pathOf(name)}/uses`;
    await mkdir(uses, { recursive: true, mode: 0o700 });
    await writeFile(`${uses}/${checkTaskId(taskId)}`, '', { mode: 0o600 });
  }

  async dropUse(name: string, taskId: string): Promise<void> {
    await rm(`${this.#pathOf(name)}/uses/${checkTaskId(taskId)}`, { force: true });
  }

  /** Tasks whose use was noted and not dropped. */
  async uses(name: string): Promise<readonly string[]> {
    const names = await readdir(`${this.#pathOf(name)}/uses`).catch((error: unknown): string[] => {
      if (hasErrno(error, 'ENOENT')) return [];
      throw error;
    });
    return names.filter((task) => TASK_ID.test(task));
  }

  async #entries(): Promise<string[]> {
    return readdir(this.#directory).catch((error: unknown): string[] => {
      if (hasErrno(error, 'ENOENT')) return [];
      throw error;
    });
  }
}

function checkTaskId(taskId: string): string {
  if (!TASK_ID.test(taskId)) throw new TypeError(`${JSON.stringify(taskId)} is no id of a task`);
  return taskId;
}
