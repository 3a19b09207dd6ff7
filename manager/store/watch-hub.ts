import { SwarmError } from '#common/errors.ts';
import type { CommitEvents, StoreEvent } from './types.ts';

export interface HistoryLimits {
  /** Events that are kept for watchers that come back. */
  readonly historyEvents: number;
  /** Events that may wait for one watcher; beyond, it is ended. */
  readonly watcherEvents: number;
}

export interface SubscribeOptions {
  /** Begin with the commit after this version; by default, with the next one. */
  readonly after?: number | undefined;
  /** Events that the watcher wants; all by default. Commits without any are not delivered. */
  readonly filter?: ((event: StoreEvent) => boolean) | undefined;
  /** Called when something waits where nothing did, and at the end. Synchronous, quick. */
  readonly wake?: (() => void) | undefined;
}

/** A watcher's side. Commits come in order, without gap or repetition, until the end. */
export interface Subscription {
  /** The next commit, if one waits. */
  take(): CommitEvents | undefined;
  /** Why nothing more will come: an error, or closed. What waits can still be taken unless it fell behind. */
  readonly end: { readonly error: SwarmError | undefined } | undefined;
  close(): void;
}

/** Passes commits on to watchers, and keeps the last ones for those who resume. Pure: nobody waits in here. */
export class WatchHub {
  readonly #limits: HistoryLimits;
  #history: CommitEvents[] = [];
  /** Commits before this position were dropped; the array is cut once in a while. */
  #historyStart = 0;
  #historyEvents = 0;
  /** Of the last commit. */
  #version: number;
  readonly #watchers = new Set<Watcher>();

  constructor(version: number, limits: HistoryLimits) {
    this.#version = version;
    this.#limits = limits;
  }

  get watcherCount(): number {
    return this.#watchers.size;
  }

  /** The oldest version that a watcher may resume after. */
  get oldestVersion(): number {
    return (this.#history[this.#historyStart]?.version ?? this.#version + 1) - 1;
  }

  publish(commit: CommitEvents): void {
    this.#version = commit.version;
    this.#history.push(commit);
    this.#historyEvents += commit.events.length;
    while (this.#historyEvents > this.#limits.historyEvents) {
      this.#historyEvents -= this.#history[this.#historyStart]?.events.length ?? 0;
      this.#historyStart++;
    }
    if (this.#historyStart > this.#history.length / 2) {
      this.#history = this.#history.slice(this.#historyStart);
      this.#historyStart = 0;
    }
    for (const watcher of [...this.#watchers]) watcher.offer(commit);
  }

  /** The error says that the version is too old (or of another history) to resume after. */
  subscribe(options: SubscribeOptions): Subscription | SwarmError {
    const after = options.after ?? this.#version;
    if (after < this.oldestVersion || after > this.#version)
      return cannotResume(after, this.oldestVersion, this.#version);
    const watcher = new Watcher(options, this.#limits.watcherEvents, () => this.#watchers.delete(watcher));
    this.#watchers.add(watcher);
    for (let position = this.#historyStart; position < this.#history.length; position++) {
      const commit = this.#history[position] as CommitEvents;
      if (commit.version > after) watcher.offer(commit);
    }
    return watcher;
  }

  /** The state jumped (a snapshot was installed): nobody can follow across. */
  reset(version: number): void {
    this.#version = version;
    this.#history = [];
    this.#historyStart = 0;
    this.#historyEvents = 0;
    this.endAll(tooOld('the state was replaced by a snapshot'));
  }

  endAll(error: SwarmError | undefined): void {
    for (const watcher of [...this.#watchers]) watcher.finish(error);
  }
}

class Watcher implements Subscription {
  readonly #options: SubscribeOptions;
  readonly #eventsMax: number;
  readonly #forget: () => void;
  #queue: CommitEvents[] = [];
  #head = 0;
  #waitingEvents = 0;
  #end: { readonly error: SwarmError | undefined } | undefined;

  constructor(options: SubscribeOptions, eventsMax: number, forget: () => void) {
    this.#options = options;
    this.#eventsMax = eventsMax;
    this.#forget = forget;
  }

  get end(): { readonly error: SwarmError | undefined } | undefined {
    return this.#end;
  }

  take(): CommitEvents | undefined {
    const commit = this.#queue[this.#head];
    if (commit === undefined) return undefined;
    this.#head++;
    this.#waitingEvents -= commit.events.length;
    if (this.#head === this.#queue.length || this.#head >= 1024) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return commit;
  }

  close(): void {
    this.#queue = [];
    this.#head = 0;
    this.finish(undefined);
  }

  offer(commit: CommitEvents): void {
    if (this.#end !== undefined) return;
    const { filter } = this.#options;
    const events = filter === undefined ? commit.events : commit.events.filter(filter);
    if (events.length === 0) return;
    const wasEmpty = this.#head === this.#queue.length;
    // One commit always fits: a limit below its size must not make a watch impossible.
    if (!wasEmpty && this.#waitingEvents + events.length > this.#eventsMax) {
      this.#queue = [];
      this.#head = 0;
      this.finish(tooSlow(this.#waitingEvents));
      return;
    }
    this.#queue.push(events === commit.events ? commit : { ...commit, events });
    this.#waitingEvents += events.length;
    if (wasEmpty) this.#options.wake?.();
  }

  finish(error: SwarmError | undefined): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    this.#forget();
    this.#options.wake?.();
  }
}

function cannotResume(after: number, oldest: number, newest: number): SwarmError {
  if (after > newest) return tooOld(`version ${after} is in the future of this manager, which is at version ${newest}`);
  return tooOld(`version ${after} is too old to resume after, the oldest is ${oldest}`);
}

function tooOld(message: string): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'version-gone',
    message,
    hint: 'list the objects again and watch from the version of the list',
  });
}

function tooSlow(waiting: number): SwarmError {
  return new SwarmError({
    code: 'exhausted',
    reason: 'slow-watcher',
    message: `the watcher did not keep up: ${waiting} events were waiting for it`,
    hint: 'resume after the last version that was received, and read faster',
  });
}
