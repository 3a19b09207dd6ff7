import { join } from 'node:path';
import { assert } from '#common/errors.ts';
import type { Disk, DiskFile } from '../disk/disk.ts';
import type { LogPosition } from '../log.ts';
import { type DataKeys, keyName } from '../sealing.ts';
import { WindowReader } from '../wal/window-reader.ts';
import { openChunks, sealChunks, writeSealed } from './sealed-chunks.ts';
import {
  corruptSnapshot,
  encodeSnapshotHeader,
  parseSnapshotHeader,
  SNAPSHOT_HEADER_BYTES,
  snapshotName,
  snapshotPosition,
} from './snapshot-header.ts';

export interface SnapshotFilesOptions {
  readonly disk: Disk;
  /** Must exist and be locked. */
  readonly directory: string;
  readonly keys: DataKeys;
  /** A sync is made each time this much was written, so that none takes long. */
  readonly syncBytes: number;
}

/** The snapshots in a manager's directory: sealed, whole or not there, named by term and index. */
export class SnapshotFiles {
  readonly #options: SnapshotFilesOptions;
  #keys: DataKeys;
  /** Files that are being written, unfinished and not to be removed, with the name of the data key of each. */
  readonly #writing = new Map<string, string>();

  constructor(options: SnapshotFilesOptions) {
    this.#options = options;
    this.#keys = options.keys;
  }

  /** What is written from now on is sealed with `keys.current`; what is there stays readable with the others. */
  rekey(keys: DataKeys): void {
    this.#keys = keys;
  }

  /** Names of the data keys that snapshots are sealed with, those included that are being written. */
  async keyNames(): Promise<ReadonlySet<string>> {
    const names = new Set(this.#writing.values());
    for (const position of await this.list()) {
      const name = await this.#keyNameOf(position);
      if (name !== undefined) names.add(name);
    }
    return names;
  }

  /**
   * Seals the snapshots at or below the index again that are not under the current data key: each is whole under one key
   * or the other, whenever the power goes. Those that are being written are left alone.
   */
  async reseal(index: number, logId: Uint8Array, signal?: AbortSignal): Promise<void> {
    for (const position of await this.list()) {
      if (position.index > index || this.#writing.has(`${snapshotName(position)}.tmp`)) continue;
      const name = await this.#keyNameOf(position);
      if (name === undefined || name === keyName(this.#keys.current)) continue;
      try {
        await this.write(position, logId, this.read(position, logId), signal);
      } catch (thrown) {
        if (await this.#isThere(position)) throw thrown;
      }
    }
  }

  /** Positions of the snapshots that are there, newest first. */
  async list(): Promise<readonly LogPosition[]> {
    const positions: LogPosition[] = [];
    for (const name of await this.#options.disk.list(this.#options.directory)) {
      const position = snapshotPosition(name);
      if (position !== undefined) positions.push(position);
    }
    return positions.sort((left, right) => right.index - left.index);
  }

  /**
   * Writes a snapshot; it is durable under its name when this resolves with its size. Chunks are pulled one at a time,
   * with a trip to the disk between. Leaves nothing behind when it rejects. One at a time for each position.
   */
  async write(
    position: LogPosition,
    logId: Uint8Array,
    chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    signal?: AbortSignal,
  ): Promise<number> {
    const { disk, directory } = this.#options;
    const name = snapshotName(position);
    const path = join(directory, name);
    assert(!this.#writing.has(`${name}.tmp`), 'a snapshot is written by one at a time');
    this.#writing.set(`${name}.tmp`, keyName(this.#keys.current));
    try {
      const bytes = await this.#writeUnfinished(`${path}.tmp`, (file) =>
        this.#writeContent(file, position, logId, chunks, signal),
      );
      await disk.rename(`${path}.tmp`, path);
      await disk.syncDirectory(directory);
      return bytes;
    } finally {
      this.#writing.delete(`${name}.tmp`);
    }
  }

  /** The chunks of a snapshot, verified as they come. Throws `corrupt-state` where the file is damaged or cut. */
  async *read(position: LogPosition, logId: Uint8Array): AsyncGenerator<Uint8Array, void> {
    const path = join(this.#options.directory, snapshotName(position));
    const file = await this.#options.disk.open(path, 'read');
    try {
      const reader = new WindowReader(file);
      const header = parseSnapshotHeader(await reader.at(0, SNAPSHOT_HEADER_BYTES), path, this.#keys);
      if (header.position.index !== position.index || header.position.term !== position.term)
        throw corruptSnapshot(path, 0, `it is the snapshot of entry ${header.position.index} under another's name`);
      if (Buffer.compare(header.logId, logId) !== 0) throw corruptSnapshot(path, 0, 'it belongs to another log');
      yield* openChunks(reader, SNAPSHOT_HEADER_BYTES, header, (offset, what) => corruptSnapshot(path, offset, what));
    } finally {
      await file.close();
    }
  }

  /** Removes unfinished files and every snapshot but the `keep` newest ones at or below the index, and those in use. */
  async prune(index: number, keep: number, isInUse: (position: LogPosition) => boolean = () => false): Promise<void> {
    const { disk, directory } = this.#options;
    let removed = false;
    let kept = 0;
    for (const position of await this.list()) {
      if (position.index <= index && kept < keep) {
        kept++;
        continue;
      }
      if (isInUse(position)) continue;
      await disk.remove(join(directory, snapshotName(position)));
      removed = true;
    }
    for (const name of await disk.list(directory)) {
      if (!name.endsWith('.snapshot.tmp') || this.#writing.has(name)) continue;
      await disk.remove(join(directory, name));
      removed = true;
    }
    if (removed) await disk.syncDirectory(directory);
  }

  /** Removes one snapshot, which must be there. Not needed for correctness: not waited for to be durable. */
  remove(position: LogPosition): Promise<void> {
    return this.#options.disk.remove(join(this.#options.directory, snapshotName(position)));
  }

  /** Undefined for a snapshot that was removed meanwhile, because a newer one replaces it. */
  async #keyNameOf(position: LogPosition): Promise<string | undefined> {
    const path = join(this.#options.directory, snapshotName(position));
    try {
      const file = await this.#options.disk.open(path, 'read');
      try {
        return parseSnapshotHeader(await new WindowReader(file).at(0, SNAPSHOT_HEADER_BYTES), path, this.#keys).keyName;
      } finally {
        await file.close();
      }
    } catch (thrown) {
      if (await this.#isThere(position)) throw thrown;
      return undefined;
    }
  }

  async #isThere(position: LogPosition): Promise<boolean> {
    const name = snapshotName(position);
    return (await this.list()).some((other) => snapshotName(other) === name);
  }

  async #writeUnfinished(path: string, content: (file: DiskFile) => Promise<number>): Promise<number> {
    const { disk } = this.#options;
    const file = await disk.open(path, 'create');
    try {
      const bytes = await content(file);
      await file.close();
      return bytes;
    } catch (thrown) {
      await file.close().catch(() => {});
      await disk.remove(path).catch(() => {});
      throw thrown;
    }
  }

  async #writeContent(
    file: DiskFile,
    position: LogPosition,
    logId: Uint8Array,
    chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const { bytes, checksum, sealer } = encodeSnapshotHeader(position, logId, this.#keys);
    const sealed = sealChunks(bytes, { sealer, checksum }, chunks, signal);
    return writeSealed(file, sealed, this.#options.syncBytes);
  }
}
