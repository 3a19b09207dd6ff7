import type { HardState, MemoryStorage, Message, Snapshot } from 'raft-ts';
import type { Wal, WalRecord } from '#manager/log/index.ts';
import { entryRecord, hardStateRecord, restoredRecord } from './wal-records.ts';

export interface AppendThreadOptions {
  readonly wal: Wal;
  readonly storage: MemoryStorage;
  /** As recovered. */
  readonly hardState: HardState;
  /** A MsgStorageAppend is done: its responses are to be delivered. */
  readonly deliver: (responses: readonly Message[]) => void;
  /** Puts a received snapshot in place of the state machine; what comes after it waits until this resolves. */
  readonly restore: (snapshot: Snapshot) => Promise<void>;
  readonly failed: (thrown: unknown) => void;
}

interface Work {
  readonly message: Message;
  isDurable: boolean;
}

/**
 * Does what MsgStorageAppends ask for: writes each at once, since the write-ahead log lets those that wait share a
 * flush, and reports them in their order.
 */
export class AppendThread {
  readonly #options: AppendThreadOptions;
  /** The newest that the node gave out. Invariant: its term never goes down. */
  #hardState: HardState;
  /** The newest that was given to the write-ahead log. */
  #written: HardState;
  /** The newest that is on the disk. */
  #durable: HardState;
  /** Not reported yet, in order. */
  #work: Work[] = [];
  #isReporting = false;

  constructor(options: AppendThreadOptions) {
    this.#options = options;
    this.#hardState = options.hardState;
    this.#written = options.hardState;
    this.#durable = options.hardState;
  }

  /** What a new segment has to begin with. */
  get durable(): HardState {
    return this.#durable;
  }

  get isIdle(): boolean {
    return this.#work.length === 0;
  }

  append(message: Message): void {
    if (message.term !== 0) this.#hardState = { term: message.term, vote: message.vote, commit: message.commit };
    const { entries, snapshot, responses } = message;
    const isNeeded =
      entries.length > 0 ||
      snapshot !== undefined ||
      this.#hardState.term !== this.#written.term ||
      this.#hardState.vote !== this.#written.vote;
    // A commit index alone is learned again after a restart: it goes along with the next write.
    if (!isNeeded && responses.length === 0) return;
    const work: Work = { message, isDurable: !isNeeded };
    this.#work.push(work);
    if (isNeeded) this.#write(work);
    else this.#report();
  }

  /** Resolves when the commit index, as far as the node has given it out, is durable. */
  flushCommit(): Promise<void> {
    const hardState = this.#hardState;
    if (hardState.commit === this.#durable.commit) return Promise.resolve();
    this.#written = hardState;
    return this.#options.wal.append([hardStateRecord(hardState)]).then(() => {
      this.#durable = hardState;
    });
  }

  #write(work: Work): void {
    const { entries, snapshot } = work.message;
    const records: WalRecord[] = [];
    if (snapshot !== undefined) records.push(restoredRecord(snapshot));
    for (const entry of entries) records.push(entryRecord(entry));
    const hardState = this.#hardState;
    if (hardState !== this.#written) records.push(hardStateRecord(hardState));
    this.#written = hardState;
    this.#options.wal.append(records).then(
      () => {
        this.#durable = hardState;
        work.isDurable = true;
        this.#report();
      },
      // The log's failure has been told already, and stops everything.
      () => {},
    );
  }

  /** Reports what is durable, from the oldest on, as far as nothing before it is still being written or restored. */
  #report(): void {
    if (this.#isReporting) return;
    for (;;) {
      const work = this.#work[0];
      if (work?.isDurable !== true) return;
      const { entries, snapshot, responses } = work.message;
      if (snapshot !== undefined) {
        this.#isReporting = true;
        void this.#restore(work, snapshot);
        return;
      }
      this.#options.storage.append(entries);
      this.#work.shift();
      this.#options.deliver(responses);
    }
  }

  async #restore({ message }: Work, snapshot: Snapshot): Promise<void> {
    const { storage, restore, failed, deliver } = this.#options;
    try {
      storage.applySnapshot(snapshot);
      storage.append(message.entries);
      await restore(snapshot);
    } catch (thrown) {
      failed(thrown);
      return;
    }
    this.#work.shift();
    this.#isReporting = false;
    deliver(message.responses);
    this.#report();
  }
}
