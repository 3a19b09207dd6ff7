import {
  type ConfState,
  decodeConfChange,
  type Entry,
  type HardState,
  isEmptyHardState,
  MemoryStorage,
  type Message,
  NO_DATA,
  type RaftConfig,
  RawNode,
  type Snapshot,
} from '../../src/index.ts';

/** The node's storage gives out the newest snapshot of the application's history. */
class HistoryStorage extends MemoryStorage {
  history: Snapshot[];

  constructor(first: Snapshot) {
    super();
    this.history = [first];
  }

  /** The snapshot that the log starts after. */
  base(): Snapshot | 'unavailable' {
    return super.snapshot();
  }

  override snapshot(): Snapshot | 'unavailable' {
    return this.history.at(-1) ?? 'unavailable';
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

/** A node with its storage, its two local threads' work, and an application that appends what it is given. */
export class TestNode {
  raw: RawNode;
  readonly storage: HistoryStorage;
  readonly config: RaftConfig;
  appendWork: Message[] = [];
  applyWork: Message[] = [];

  constructor(config: Omit<RaftConfig, 'storage'>, first: Snapshot) {
    this.storage = new HistoryStorage(first);
    if (first.index > 0) this.storage.applySnapshot(first);
    this.config = { ...config, storage: this.storage };
    this.raw = new RawNode(this.config);
  }

  get async(): boolean {
    return this.config.asyncStorageWrites === true;
  }

  /** Starts over from the storage, as after a crash; what the two threads had not done is lost. */
  restart(): void {
    const base = this.storage.base();
    if (base === 'unavailable') throw new Error('the storage has no base');
    this.storage.history = [base];
    this.appendWork = [];
    this.applyWork = [];
    this.raw = new RawNode({ ...this.config, applied: base.index });
  }

  store(hardState: HardState | undefined, entries: readonly Entry[], snapshot: Snapshot | undefined): void {
    if (hardState !== undefined && !isEmptyHardState(hardState)) this.storage.setHardState(hardState);
    if (snapshot === undefined) this.storage.append(entries);
    else if (entries.length > 0) throw new Error("can't apply snapshot and entries at the same time");
    else this.storage.applySnapshot(snapshot);
  }

  apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const last = this.storage.history.at(-1);
      const change = decodeConfChange(entry);
      let confState: ConfState | undefined;
      let data = entry.data;
      if (change !== undefined) {
        data = change.context;
        confState = this.raw.applyConfChange(entry);
      }
      this.storage.history.push({
        index: entry.index,
        term: entry.term,
        confState: confState ?? last?.confState ?? this.storage.initialState().confState,
        data: concat(last?.data ?? NO_DATA, data),
      });
    }
  }
}
