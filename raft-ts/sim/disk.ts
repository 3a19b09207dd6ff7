import { type Entry, type HardState, MemoryStorage, type Snapshot } from '../src/index.ts';
import type { SeededRandom } from './random.ts';

type DiskRecord =
  | { readonly kind: 'hardState'; readonly hardState: HardState }
  | { readonly kind: 'entry'; readonly entry: Entry }
  | { readonly kind: 'received'; readonly snapshot: Snapshot }
  | { readonly kind: 'made'; readonly snapshot: Snapshot };

function applyTo(storage: MemoryStorage, record: DiskRecord): void {
  switch (record.kind) {
    case 'hardState':
      storage.setHardState(record.hardState);
      break;
    case 'entry':
      storage.append([record.entry]);
      break;
    case 'received':
      storage.applySnapshot(record.snapshot);
      break;
    case 'made': {
      const { index, confState, data } = record.snapshot;
      storage.createSnapshot(index, confState, data);
      break;
    }
  }
}

/** What a node finds after a restart: the newest snapshot and the entries after it. */
function recovered(storage: MemoryStorage): MemoryStorage {
  const copy = new MemoryStorage();
  const { hardState } = storage.initialState();
  const snapshot = storage.snapshot();
  if (snapshot === 'unavailable') throw new Error('a disk always has its snapshot');
  if (snapshot.index > 0) copy.applySnapshot(snapshot);
  const entries = storage.entries(storage.firstIndex(), storage.lastIndex() + 1, Infinity);
  if (typeof entries !== 'string') copy.append(entries.filter((entry) => entry.index > snapshot.index));
  // The commit index may be written without a flush and be older than the snapshot.
  copy.setHardState({ ...hardState, commit: Math.max(hardState.commit, snapshot.index) });
  return copy;
}

/**
 * A disk that keeps what was flushed, and of the rest, in a crash, some records from the first on; the record in which
 * writing broke off is torn, which its checksum shows, so it and all after it are gone.
 */
export class SimDisk {
  #synced = new MemoryStorage();
  #pending: DiskRecord[] = [];

  constructor(first: Snapshot | undefined) {
    if (first !== undefined) this.#synced.applySnapshot(first);
  }

  /** What would be there after the worst crash. */
  get synced(): MemoryStorage {
    return this.#synced;
  }

  /** The snapshot goes first and the hard state last, so that a commit index is never ahead of its entries. */
  write(hardState: HardState | undefined, entries: readonly Entry[], snapshot: Snapshot | undefined): void {
    if (snapshot !== undefined) this.#pending.push({ kind: 'received', snapshot });
    for (const entry of entries) this.#pending.push({ kind: 'entry', entry });
    if (hardState !== undefined) this.#pending.push({ kind: 'hardState', hardState });
  }

  /** The application's own snapshots are flushed before they are used. */
  writeMade(snapshot: Snapshot): void {
    this.#pending.push({ kind: 'made', snapshot });
    this.sync();
  }

  sync(): void {
    for (const record of this.#pending) applyTo(this.#synced, record);
    this.#pending = [];
  }

  /** Loses what a crash loses, and gives the storage to start from again. */
  crash(random: SeededRandom): MemoryStorage {
    const survivors = this.#pending.slice(0, random.below(this.#pending.length + 1));
    for (const record of survivors) applyTo(this.#synced, record);
    this.#pending = [];
    return this.restart();
  }

  restart(): MemoryStorage {
    this.#synced = recovered(this.#synced);
    return recovered(this.#synced);
  }
}
