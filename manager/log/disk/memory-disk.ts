import { SwarmError } from '#common/errors.ts';
import { type Random, randomInt } from '#common/random.ts';
import type { Disk, DiskFile, DiskLock, OpenMode } from './disk.ts';

export interface MemoryDiskOptions {
  /** Decides what of the unsynced survives a crash. */
  readonly random: Random;
  /** The power fails during this operation (1 is the first): it and everything after it never returns. */
  readonly crashAt?: number;
  /** This operation fails with the system's error code, such as `EIO`; a write may have happened in part. */
  readonly failAt?: { readonly operation: number; readonly code: string };
  /** Writes beyond this many bytes in all files fail with ENOSPC. */
  readonly capacityBytes?: number;
}

/** Smallest piece of a write that is there or not after a crash. */
const SECTOR_BYTES = 512;

type ContentChange = { readonly offset: number; readonly data: Uint8Array } | { readonly size: number };
type NameChange =
  | { readonly kind: 'create'; readonly path: string; readonly file: StoredFile }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'remove'; readonly path: string };

class StoredFile {
  readonly #content: FileBytes;
  /** What survives any crash. Invariant: `#durable` with all of `#unsynced` done to it is `#content`. */
  readonly #durable: FileBytes;
  #unsynced: ContentChange[] = [];

  constructor(content: Uint8Array) {
    this.#content = new FileBytes(content);
    this.#durable = new FileBytes(content);
  }

  get size(): number {
    return this.#content.size;
  }

  read(offset: number, length: number): Uint8Array {
    return this.#content.read(offset, length);
  }

  change(change: ContentChange): void {
    this.#content.change(change);
    this.#unsynced.push(change);
  }

  sync(): void {
    for (const change of this.#unsynced) this.#durable.change(change);
    this.#unsynced = [];
  }

  /** The content after a crash: each unsynced change happened or not, each sector of a write by itself. */
  survivor(random: Random): Uint8Array {
    // Besides the arbitrary mixtures: nothing of it, and all of it, which are the commonest.
    const share = [0, 1, 0.5, 0.9][randomInt(random, 4)] ?? 0.5;
    const content = new FileBytes(this.#durable.read(0, this.#durable.size));
    for (const change of this.#unsynced)
      for (const part of partsOf(change)) if (random.next() < share) content.change(part);
    return content.read(0, content.size);
  }
}

/** Bytes that are changed in place: a write costs its own length, not that of the file. */
class FileBytes {
  /** Invariant: the bytes behind `#size` are 0. */
  #bytes: Uint8Array;
  #size: number;
  /** Not while somebody else may hold the bytes. */
  #isOwn = false;

  constructor(content: Uint8Array) {
    this.#bytes = content;
    this.#size = content.length;
  }

  get size(): number {
    return this.#size;
  }

  read(offset: number, length: number): Uint8Array {
    return this.#bytes.slice(offset, Math.min(this.#size, offset + length));
  }

  change(change: ContentChange): void {
    if ('size' in change) {
      this.#reserve(change.size);
      if (change.size < this.#size) this.#bytes.fill(0, change.size, this.#size);
      this.#size = change.size;
      return;
    }
    const end = change.offset + change.data.length;
    this.#reserve(end);
    this.#bytes.set(change.data, change.offset);
    this.#size = Math.max(this.#size, end);
  }

  #reserve(size: number): void {
    if (this.#isOwn && size <= this.#bytes.length) return;
    const grown = new Uint8Array(size <= this.#bytes.length ? this.#bytes.length : Math.max(size, 2 * this.#size));
    grown.set(this.#bytes.subarray(0, this.#size));
    this.#bytes = grown;
    this.#isOwn = true;
  }
}

function partsOf(change: ContentChange): readonly ContentChange[] {
  if (!('data' in change)) return [change];
  const parts: ContentChange[] = [];
  const end = change.offset + change.data.length;
  for (let from = change.offset; from < end; ) {
    const to = Math.min(end, (Math.floor(from / SECTOR_BYTES) + 1) * SECTOR_BYTES);
    parts.push({ offset: from, data: change.data.subarray(from - change.offset, to - change.offset) });
    from = to;
  }
  return parts;
}

/**
 * A disk in memory that keeps what was synced and, after a crash, an arbitrary part of what was not: sectors of
 * unfinished writes each by themselves, changes of names in their order up to some point. For tests and the simulator.
 */
export class MemoryDisk implements Disk {
  readonly #options: MemoryDiskOptions;
  /** Resolves when `crashAt` was reached. */
  readonly crashed: Promise<void>;
  readonly #names = new Map<string, StoredFile>();
  readonly #durableNames = new Map<string, StoredFile>();
  #nameChanges: NameChange[] = [];
  #locks = new Set<string>();
  readonly #open = new Set<{ readonly path: string }>();
  #operations = 0;
  #isDown = false;
  #announceCrash = (): void => {};

  constructor(options: MemoryDiskOptions, content: ReadonlyMap<string, Uint8Array> = new Map()) {
    this.#options = options;
    this.crashed = new Promise((resolve) => {
      this.#announceCrash = resolve;
    });
    for (const [path, bytes] of content) {
      const file = new StoredFile(bytes);
      this.#names.set(path, file);
      this.#durableNames.set(path, file);
    }
  }

  /** Operations so far: what `crashAt` and `failAt` count. */
  get operations(): number {
    return this.#operations;
  }

  /** Paths of files that are open, and directories that are locked: empty once everyone has let go. */
  get held(): readonly string[] {
    return [...[...this.#open].map(({ path }) => path), ...this.#locks];
  }

  /** The power has failed: nothing is answered any more. */
  get isDown(): boolean {
    return this.#isDown;
  }

  get isEmpty(): boolean {
    return this.#names.size === 0;
  }

  /** Content of all files as the running system sees it; a copy. */
  files(): ReadonlyMap<string, Uint8Array> {
    return new Map([...this.#names].map(([path, file]) => [path, file.read(0, file.size)]));
  }

  /** The disk as it is found after the power came back; this one answers no more. */
  afterCrash(options: MemoryDiskOptions): MemoryDisk {
    this.#isDown = true;
    const { random } = this.#options;
    const names = new Map(this.#durableNames);
    const survived = randomInt(random, this.#nameChanges.length + 1);
    for (const change of this.#nameChanges.slice(0, survived)) changeName(names, change);
    return new MemoryDisk(options, new Map([...names].map(([path, file]) => [path, file.survivor(random)])));
  }

  makeDirectory(): Promise<void> {
    return this.#operate(() => {});
  }

  list(directory: string): Promise<readonly string[]> {
    const prefix = `${directory}/`;
    return this.#operate(() =>
      [...this.#names.keys()].filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length)),
    );
  }

  open(path: string, mode: OpenMode): Promise<DiskFile> {
    return this.#operate((failing) => {
      let file = this.#names.get(path);
      if (mode === 'create') {
        if (file === undefined) {
          file = new StoredFile(new Uint8Array(0));
          this.#changeName({ kind: 'create', path, file });
        } else file.change({ size: 0 });
      }
      if (file === undefined) throw systemError('ENOENT', path);
      const opened = { path };
      if (!failing) this.#open.add(opened);
      return this.#handle(opened, file, mode === 'durable');
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#operate(() => {
      if (!this.#names.has(from)) throw systemError('ENOENT', from);
      this.#changeName({ kind: 'rename', from, to });
    });
  }

  remove(path: string): Promise<void> {
    return this.#operate(() => {
      if (!this.#names.has(path)) throw systemError('ENOENT', path);
      this.#changeName({ kind: 'remove', path });
    });
  }

  syncDirectory(): Promise<void> {
    return this.#operate(
      () => {},
      () => {
        for (const change of this.#nameChanges) changeName(this.#durableNames, change);
        this.#nameChanges = [];
      },
    );
  }

  async lock(directory: string): Promise<DiskLock> {
    if (this.#locks.has(directory))
      throw new SwarmError({
        code: 'precondition',
        reason: 'in-use',
        message: `another swarmd uses ${directory}`,
        hint: 'stop the other daemon, or give this one a state directory of its own (--state-dir)',
      });
    this.#locks.add(directory);
    return { release: async () => void this.#locks.delete(directory) };
  }

  #handle(opened: { readonly path: string }, file: StoredFile, isDurable: boolean): DiskFile {
    return {
      read: (offset, length) => this.#operate(() => file.read(offset, length)),
      write: (offset, data) =>
        this.#operate(
          (failing) =>
            this.#write(
              file,
              offset,
              data.slice(0, failing ? randomInt(this.#options.random, data.length) : data.length),
            ),
          () => {
            if (isDurable) file.sync();
          },
        ),
      sync: () =>
        this.#operate(
          () => {},
          () => file.sync(),
        ),
      truncate: (size) => this.#operate(() => file.change({ size })),
      size: () => this.#operate(() => file.size),
      close: () => {
        // As with close(2), also where it fails.
        this.#open.delete(opened);
        return this.#operate(() => {});
      },
    };
  }

  #write(file: StoredFile, offset: number, data: Uint8Array): void {
    const { capacityBytes } = this.#options;
    if (capacityBytes !== undefined) {
      let used = 0;
      for (const other of this.#names.values()) used += other.size;
      const grownBy = offset + data.length - file.size;
      const room = capacityBytes - used;
      if (grownBy > room) {
        const fits = data.slice(0, Math.max(0, data.length - (grownBy - Math.max(0, room))));
        if (fits.length > 0) file.change({ offset, data: fits });
        throw systemError('ENOSPC', 'write');
      }
    }
    file.change({ offset, data });
  }

  #changeName(change: NameChange): void {
    changeName(this.#names, change);
    this.#nameChanges.push(change);
  }

  /**
   * One operation: `act` happens at once (told whether the operation is going to fail), `harden` when it is complete.
   * At a crash both may or may not have happened.
   */
  async #operate<T>(act: (failing: boolean) => T, harden: () => void = () => {}): Promise<T> {
    if (this.#isDown) return never();
    this.#operations++;
    const { crashAt, failAt, random } = this.#options;
    if (this.#operations === crashAt) {
      const progress = randomInt(random, 3);
      if (progress > 0) act(false);
      if (progress > 1) harden();
      this.#isDown = true;
      this.#announceCrash();
      return never();
    }
    if (this.#operations === failAt?.operation) {
      act(true);
      throw systemError(failAt.code, 'operation');
    }
    const result = act(false);
    harden();
    await Promise.resolve();
    return this.#isDown ? never() : result;
  }
}

function changeName(names: Map<string, StoredFile>, change: NameChange): void {
  if (change.kind === 'create') names.set(change.path, change.file);
  else if (change.kind === 'remove') names.delete(change.path);
  else {
    const file = names.get(change.from);
    if (file !== undefined) names.set(change.to, file);
    names.delete(change.from);
  }
}

function never<T>(): Promise<T> {
  return new Promise<T>(() => {});
}

function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
