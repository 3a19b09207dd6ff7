import type { Entry, Message } from 'raft-ts';
import type { Clock } from '#common/clock.ts';
import type { LogPosition } from '#manager/log/index.ts';
import type { NextTurn } from './pump.ts';

export interface ApplierOptions {
  readonly clock: Clock;
  readonly nextTurn: NextTurn;
  /** Entries are applied for at most this long before the event loop gets its turn. */
  readonly sliceMs: number;
  /** The state machine holds everything up to here. */
  readonly applied: LogPosition;
  readonly applyEntry: (entry: Entry) => void;
  readonly applyChange: (entry: Entry) => Promise<void>;
  /** Called after each entry, when `applied` says so too. */
  readonly entryApplied: (entry: Entry) => void;
  /** A MsgStorageApply is done: its responses are to be delivered. */
  readonly deliver: (responses: readonly Message[]) => void;
  readonly failed: (thrown: unknown) => void;
}

type Task =
  | { readonly kind: 'entries'; readonly message: Message; next: number }
  | { readonly kind: 'restore'; readonly position: LogPosition; readonly restore: () => Promise<void> };

/**
 * Does what MsgStorageApplys ask for, in order: at once as long as it is quick, giving way to the event loop between
 * slices.
 */
export class Applier {
  readonly #options: ApplierOptions;
  #applied: LogPosition;
  /** Entries up to here are in a snapshot that is about to be restored. */
  #skipTo = 0;
  #tasks: Task[] = [];
  #isBusy = false;
  #isStopped = false;
  /** When applying began in this turn of the event loop; undefined as long as nothing was applied. */
  #turnStartMs: number | undefined;

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#applied = options.applied;
  }

  get applied(): LogPosition {
    return this.#applied;
  }

  get isIdle(): boolean {
    return this.#isStopped || this.#tasks.length === 0;
  }

  apply(message: Message): void {
    this.#tasks.push({ kind: 'entries', message, next: 0 });
    this.#run();
  }

  /** Restores a snapshot once what is being applied lets go; entries that it covers are passed over. */
  restore(position: LogPosition, restore: () => Promise<void>): Promise<void> {
    this.#skipTo = position.index;
    return new Promise((resolve, reject) => {
      const task = async (): Promise<void> => {
        try {
          await restore();
          resolve();
        } catch (thrown) {
          reject(thrown);
          throw thrown;
        }
      };
      this.#tasks.push({ kind: 'restore', position, restore: task });
      this.#run();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#tasks = [];
  }

  #run(): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      while (!this.#isStopped && this.#tasks[0] !== undefined) if (!this.#work(this.#tasks[0])) return;
      this.#isBusy = false;
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** Goes on with a task; false when it goes on by itself later. */
  #work(task: Task): boolean {
    if (task.kind === 'restore') {
      this.#wait(task.restore(), () => {
        this.#applied = task.position;
        this.#tasks.shift();
      });
      return false;
    }
    const { entries, responses } = task.message;
    for (; task.next < entries.length; task.next++) {
      const entry = entries[task.next];
      if (entry === undefined || entry.index <= this.#skipTo) continue;
      if (this.#isSliceOver()) {
        this.#options.nextTurn(() => this.#resume());
        return false;
      }
      if (entry.type !== 'EntryNormal') {
        this.#wait(this.#options.applyChange(entry), () => this.#passed(task, entry));
        return false;
      }
      this.#options.applyEntry(entry);
      this.#applied = entry;
      this.#options.entryApplied(entry);
    }
    this.#tasks.shift();
    this.#options.deliver(responses);
    return true;
  }

  #passed(task: Task & { readonly kind: 'entries' }, entry: Entry): void {
    this.#applied = entry;
    task.next++;
    this.#options.entryApplied(entry);
  }

  #wait(work: Promise<void>, then: () => void): void {
    work.then(
      () => {
        if (this.#isStopped) return;
        then();
        this.#resume();
      },
      (thrown: unknown) => this.#fail(thrown),
    );
  }

  #resume(): void {
    this.#isBusy = false;
    this.#run();
  }

  #isSliceOver(): boolean {
    const now = this.#options.clock.monotonic();
    if (this.#turnStartMs === undefined) {
      this.#turnStartMs = now;
      this.#options.nextTurn(() => {
        this.#turnStartMs = undefined;
      });
    }
    return now - this.#turnStartMs >= this.#options.sliceMs;
  }

  #fail(thrown: unknown): void {
    if (this.#isStopped) return;
    this.stop();
    this.#options.failed(thrown);
  }
}
