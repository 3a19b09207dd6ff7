import { type Disk, type DiskFile, type DiskLock, MemoryDisk, type OpenMode } from '#manager/log/index.ts';
import type { SimProcess } from './sim-process.ts';
import type { SimRandom } from './sim-random.ts';

/** How a disk behaves now; the simulation changes it as it goes. */
export interface DiskHealth {
  /** Longest time of a write or a sync. */
  writeMs: number;
  /** Writes fail with this code, in part done, this many more times; Infinity for as long as it is so. */
  failing: { readonly code: 'EIO' | 'ENOSPC'; times: number } | undefined;
}

/**
 * The disk of one machine, which outlives its processes: a `MemoryDisk`, whose operations take virtual time and fail on
 * demand. What is written is durable only once the time of its sync has passed.
 */
export class SimDisk {
  readonly #random: SimRandom;
  readonly health: DiskHealth = { writeMs: 1, failing: undefined };
  #content: MemoryDisk;

  constructor(random: SimRandom) {
    this.#random = random;
    this.#content = new MemoryDisk({ random });
  }

  /** The power fails: what was not synced is there in part. */
  crash(): void {
    this.#content = this.#content.afterCrash({ random: this.#random });
  }

  /** Everything is gone, as on a new disk. */
  wipe(): void {
    this.#content = new MemoryDisk({ random: this.#random });
  }

  get isEmpty(): boolean {
    return this.#content.isEmpty;
  }

  /** The disk as a process sees it. */
  mount(process: SimProcess): Disk {
    const content = this.#content;
    const quick = <T>(work: () => Promise<T>): Promise<T> => this.#timed(process, 0, work);
    return {
      makeDirectory: () => quick(() => content.makeDirectory()),
      list: (directory) => quick(() => content.list(directory)),
      open: (path, mode) => quick(async () => this.#file(process, await content.open(path, inner(mode)), mode)),
      rename: (from, to) => quick(() => content.rename(from, to)),
      remove: (path) => quick(() => content.remove(path)),
      syncDirectory: () => this.#slow(process, () => content.syncDirectory()),
      lock: (directory): Promise<DiskLock> => content.lock(directory),
    };
  }

  #file(process: SimProcess, file: DiskFile, mode: OpenMode): DiskFile {
    return {
      read: (offset, length) => this.#timed(process, 0, () => file.read(offset, length)),
      write: async (offset, data) => {
        await this.#maybeFail(file, offset, data);
        // Kept as it is now: the caller's buffer is its own again.
        await file.write(offset, data.slice());
        if (mode === 'durable') await this.#slow(process, () => file.sync());
        else await this.#timed(process, 0, async () => {});
      },
      sync: async () => {
        await this.#maybeFail();
        await this.#slow(process, () => file.sync());
      },
      truncate: (size) => this.#timed(process, 0, () => file.truncate(size)),
      size: () => file.size(),
      close: () => file.close(),
    };
  }

  async #maybeFail(file?: DiskFile, offset = 0, data: Uint8Array = new Uint8Array(0)): Promise<void> {
    const { failing } = this.health;
    if (failing === undefined || failing.times <= 0) return;
    // A full disk refuses bytes, not syncs.
    if (failing.code === 'ENOSPC' && file === undefined) return;
    failing.times--;
    await file?.write(offset, data.slice(0, this.#random.below(data.length + 1)));
    throw Object.assign(new Error(`${failing.code}: write`), { code: failing.code });
  }

  /** A sync: takes its time, and has happened only at the end of it. */
  async #slow<T>(process: SimProcess, work: () => Promise<T>): Promise<T> {
    await this.#timed(process, this.#random.next() * this.health.writeMs, async () => {});
    return work();
  }

  /** Answers in a turn of its own, as a trip to the thread pool does; never in a process that is over. */
  #timed<T>(process: SimProcess, delayMs: number, work: () => Promise<T>): Promise<T> {
    const done = work();
    return new Promise((resolve, reject) => {
      done.then(
        (value) => process.after(delayMs, () => resolve(value)),
        (thrown: unknown) => process.after(delayMs, () => reject(thrown)),
      );
    });
  }
}

/** A durable write is a write and a sync, with the time between them. */
function inner(mode: OpenMode): OpenMode {
  return mode === 'durable' ? 'write' : mode;
}
