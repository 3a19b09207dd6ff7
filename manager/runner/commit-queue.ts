import type { CommitEvents, StoreEvent } from '#manager/store/index.ts';

/** Events that wait for one loop, in order, up to a bound. */
export class CommitQueue {
  readonly #eventsMax: number;
  #commits: CommitEvents[] = [];
  #commit = 0;
  #event = 0;
  #size = 0;
  #overflowed = false;

  constructor(eventsMax: number) {
    this.#eventsMax = eventsMax;
  }

  /** Events were dropped: what is in here is no continuation any more. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  push(commit: CommitEvents): void {
    if (this.#overflowed || commit.events.length === 0) return;
    if (this.#size + commit.events.length > this.#eventsMax) {
      this.clear();
      this.#overflowed = true;
      return;
    }
    this.#commits.push(commit);
    this.#size += commit.events.length;
  }

  take(): StoreEvent | undefined {
    for (;;) {
      const commit = this.#commits[this.#commit];
      if (commit === undefined) return undefined;
      const event = commit.events[this.#event++];
      if (event !== undefined) {
        this.#size--;
        return event;
      }
      this.#event = 0;
      this.#commit++;
      if (this.#commit === this.#commits.length) this.#reset();
    }
  }

  clear(): void {
    this.#reset();
    this.#size = 0;
    this.#event = 0;
    this.#overflowed = false;
  }

  #reset(): void {
    this.#commits = [];
    this.#commit = 0;
  }
}
