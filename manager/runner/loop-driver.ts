import { backoffDelay } from '#common/backoff.ts';
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import type { ChangeGroup, CommitEvents, Loop, Plan, StoreEvent, StoreView, TableName } from '#manager/store/index.ts';
import { CommitQueue } from './commit-queue.ts';
import type { RunnerConfig } from './config.ts';
import { EMPTY_VIEW } from './empty-view.ts';
import type { LoopStore } from './loop-store.ts';
import type { RunnerObserver } from './runner-observer.ts';

export interface LoopDriverOptions {
  readonly loop: Loop;
  readonly store: LoopStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly observer: RunnerObserver;
  readonly config: RunnerConfig;
  /** Gives way to the event loop for one turn. */
  readonly nextTurn: () => Promise<void>;
  /** The same, for a turn that no other loop has for this: all of them start at the same moment. */
  readonly ownTurn: () => Promise<void>;
}

/** Objects that others refer to come first. */
const RESTORE_ORDER: readonly TableName[] = [
  'cluster',
  'node',
  'secret',
  'secretVersion',
  'config',
  'configVersion',
  'stack',
  'service',
  'network',
  'revision',
  'volume',
  'task',
];

/** Looking at the clock costs about as much as observing an event. */
const EVENTS_PER_CLOCK = 32;

/**
 * Runs one loop for one time of leadership: brings it up to date, lets it plan, commits what it asks for, and sleeps until
 * an event, its wake-up time, or the end.
 *
 * Invariant: `plan` is called only when the loop has observed exactly the commits that make up the view, and none of its
 * changes is on its way.
 */
export class LoopDriver {
  readonly #options: LoopDriverOptions;
  readonly #queue: CommitQueue;
  #stopped = false;
  /** Ends a sleep that an event may end. Undefined while there is none. */
  #endSleep: (() => void) | undefined;
  /** Ends a pause after an error or conflict, which only the end of all work cuts short. */
  #endPause: (() => void) | undefined;
  #cancelDebounce: CancelTimer | undefined;
  #errorsInARow = 0;
  #conflictsInARow = 0;

  constructor(options: LoopDriverOptions) {
    this.#options = options;
    this.#queue = new CommitQueue(options.config.queueEventsMax);
  }

  /** A commit that the loop has to observe. Quick: the log waits. */
  offer(commit: CommitEvents): void {
    if (this.#stopped) return;
    this.#queue.push(commit);
    if (this.#endSleep === undefined || this.#cancelDebounce !== undefined) return;
    if (this.#debounceMs === 0) this.#endSleep();
    else this.#cancelDebounce = this.#options.clock.setTimer(this.#debounceMs, () => this.#endSleep?.());
  }

  get #debounceMs(): number {
    return this.#options.config.debounceMs[this.#options.loop.name] ?? 0;
  }

  /** Nothing is planned or proposed any more. What is on its way may still be committed. */
  stop(): void {
    this.#stopped = true;
    this.#endSleep?.();
    this.#endPause?.();
  }

  /** Works until stopped; never rejects. */
  async run(): Promise<void> {
    let restored = false;
    while (!this.#stopped) {
      try {
        if (!restored || this.#queue.overflowed) await this.#restore();
        restored = true;
        const wait = await this.#step();
        this.#errorsInARow = 0;
        if (wait.kind === 'again') await this.#options.nextTurn();
        else await this.#sleep(wait.ms, wait.kind === 'idle');
      } catch (thrown) {
        // A loop whose step failed may be half changed: it starts over from the store.
        restored = !(await this.#failed(thrown));
      }
    }
  }

  async #step(): Promise<Wait> {
    if (!(await this.#catchUp())) return { kind: 'again' };
    // From here to the plan nothing may come between; what came with the turn of the promise is caught up first.
    if (this.#stopped || !this.#queue.isEmpty) return { kind: 'again' };
    const { loop, store, clock, observer } = this.#options;
    const nowMs = clock.now();
    const startMs = clock.monotonic();
    const plan = loop.plan(store.view(), nowMs);
    observer.planned?.(loop.name, clock.monotonic() - startMs, plan.changes.length);
    const conflicts = plan.changes.length === 0 ? 0 : await this.#commit(plan.changes);
    this.#conflictsInARow = conflicts > 0 ? this.#conflictsInARow + 1 : 0;
    if (this.#conflictsInARow > 1) return { kind: 'pause', ms: this.#conflictPauseMs() };
    if (conflicts > 0 || plan.more === true) return { kind: 'again' };
    return { kind: 'idle', ms: this.#sleepMs(plan, nowMs) };
  }

  /** Observes what waits. False when the loop has to start over, or to stop. */
  async #catchUp(): Promise<boolean> {
    const { loop, clock, config } = this.#options;
    let startMs = clock.monotonic();
    for (let count = 1; ; count++) {
      if (this.#stopped || this.#queue.overflowed) return false;
      const event = this.#queue.take();
      if (event === undefined) return true;
      loop.observe(event);
      if (count % EVENTS_PER_CLOCK !== 0 || clock.monotonic() - startMs < config.sliceMs) continue;
      await this.#options.nextTurn();
      startMs = clock.monotonic();
    }
  }

  /** Tells the loop of all objects as if each were just created, in slices: by its law that is a restore. */
  async #restore(): Promise<void> {
    const { loop, store, clock, config, observer, logger } = this.#options;
    await this.#options.ownTurn();
    if (this.#stopped) return;
    const beganMs = clock.monotonic();
    this.#queue.clear();
    const view = store.view();
    loop.restore(EMPTY_VIEW);
    let startMs = beganMs;
    let objects = 0;
    for (const event of creationsOf(view)) {
      loop.observe(event);
      if (++objects % EVENTS_PER_CLOCK !== 0 || clock.monotonic() - startMs < config.sliceMs) continue;
      await this.#options.ownTurn();
      if (this.#stopped || this.#queue.overflowed) return;
      startMs = clock.monotonic();
    }
    const durationMs = clock.monotonic() - beganMs;
    observer.restored?.(loop.name, durationMs, objects);
    logger.debug('loop restored', { loop: loop.name, objects, durationMs });
  }

  /** Gives the number of groups that met a conflict; throws the first other refusal. */
  async #commit(groups: readonly ChangeGroup[]): Promise<number> {
    const { loop, store, clock, observer } = this.#options;
    const startMs = clock.monotonic();
    const outcomes = await store.batch(this.#untilStopped(groups));
    let conflicts = 0;
    let failure: SwarmError | undefined;
    for (const outcome of outcomes) {
      if (outcome === undefined) continue;
      if (outcome.code === 'conflict') conflicts++;
      else failure ??= outcome;
    }
    observer.committed?.(loop.name, clock.monotonic() - startMs, outcomes.length, conflicts);
    if (failure !== undefined) throw failure;
    return conflicts;
  }

  *#untilStopped(groups: readonly ChangeGroup[]): Generator<ChangeGroup, void> {
    for (const group of groups) {
      if (this.#stopped) return;
      yield group;
    }
  }

  /** Logs, waits. True when the loop is to be restored: the defect may be in it. */
  async #failed(thrown: unknown): Promise<boolean> {
    if (this.#stopped) return false;
    const { loop, logger, observer, random, config } = this.#options;
    const error = SwarmError.from(thrown);
    const pauseMs = backoffDelay(config.retry, this.#errorsInARow++, random);
    const fields = { loop: loop.name, error: error.message, reason: error.reason, pauseMs };
    const ours = error.code === 'internal';
    if (ours) logger.error('a leader loop failed and starts over', { ...fields, thrown });
    else logger.warn('the changes of a leader loop were not committed', fields);
    observer.failed?.(loop.name, error);
    await this.#sleep(pauseMs, false);
    return ours;
  }

  #conflictPauseMs(): number {
    return backoffDelay(this.#options.config.conflictRetry, this.#conflictsInARow - 2, this.#options.random);
  }

  #sleepMs(plan: Plan, nowMs: number): number {
    const { sleepMaxMs } = this.#options.config;
    return plan.wakeAtMs === undefined ? sleepMaxMs : Math.min(sleepMaxMs, Math.max(0, plan.wakeAtMs - nowMs));
  }

  /** `light`: an event ends it. */
  async #sleep(ms: number, light: boolean): Promise<void> {
    if (this.#stopped) return;
    const events = light && !this.#queue.isEmpty;
    if (!events || this.#debounceMs > 0) {
      let cancel: CancelTimer = () => {};
      await new Promise<void>((resolve) => {
        cancel = this.#options.clock.setTimer(events ? Math.min(ms, this.#debounceMs) : ms, resolve);
        if (light && !events) this.#endSleep = resolve;
        else this.#endPause = resolve;
      });
      cancel();
    }
    this.#cancelDebounce?.();
    this.#cancelDebounce = undefined;
    this.#endSleep = undefined;
    this.#endPause = undefined;
    // What ended the sleep is in the middle of a commit: let everyone else hear of it first.
    if (!this.#stopped) await this.#options.nextTurn();
  }
}

/** How long to wait before the next step: not at all, until something happens, or whatever happens. */
type Wait =
  | { readonly kind: 'again' }
  | { readonly kind: 'idle'; readonly ms: number }
  | { readonly kind: 'pause'; readonly ms: number };

function* creationsOf(view: StoreView): Generator<StoreEvent, void> {
  for (const table of RESTORE_ORDER)
    for (const object of view.all(table)) yield { kind: 'create', table, object } as StoreEvent;
}
