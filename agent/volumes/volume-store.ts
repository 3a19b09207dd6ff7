/** The volumes of one node: directories below the state directory, each with a record beside its data. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { checkVolumeName, parseVolumeRecord, type VolumeRecord } from './volume-record.ts';

/** Roots of volumes, as Docker makes them; the directories above are closed to everyone but root. */
const DATA_MODE = 0o755;

export interface VolumeRequest {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly owner: string | undefined;
}

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

  /** The directory that containers see. */
  dataDirectory(name: string): string {
    return `${this.#pathOf(name)}/_data`;
  }

  /** The volume, made if it does not exist. One caller at a time for each name. */
  async ensure(request: VolumeRequest): Promise<VolumeRecord> {
    const existing = await this.inspect(request.name);
    if (existing !== undefined) return existing;
    const { name, labels, owner } = request;
    const record: VolumeRecord = { version: 1, name, createdAtMs: this.#clock.now(), labels, owner };
    const path = this.#pathOf(name);
    await mkdir(path, { recursive: true, mode: 0o700 });
    await mkdir(this.dataDirectory(name), { recursive: true, mode: DATA_MODE });
    // The record last: a directory without one is what a crash left, and is taken over here.
    await writeFile(`${path}/volume.json.new`, JSON.stringify(record), { mode: 0o600 });
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

  /** By name. */
  async list(): Promise<readonly VolumeRecord[]> {
    const names = await readdir(this.#directory).catch((error: unknown): string[] => {
      if (hasErrno(error, 'ENOENT')) return [];
      throw error;
    });
    const records: VolumeRecord[] = [];
    for (const name of names.sort()) {
      const record = await this.inspect(name).catch(() => undefined);
      if (record?.name === name) records.push(record);
    }
    return records;
  }

  /** Removes the volume and its data. Throws `unknown-object` when there is none. Whether it is in use is not asked. */
  async remove(name: string): Promise<void> {
    if ((await this.inspect(name)) === undefined)
      throw new SwarmError({
        code: 'not-found',
        reason: 'unknown-object',
        message: `there is no volume ${name} on this node`,
      });
    // The record first: what a crash leaves behind is then no volume any more.
    await rm(`${this.#pathOf(name)}/volume.json`, { force: true });
    await rm(this.#pathOf(name), { recursive: true, force: true });
  }

  async isEmpty(name: string): Promise<boolean> {
    return (await readdir(this.dataDirectory(name))).length === 0;
  }
}
