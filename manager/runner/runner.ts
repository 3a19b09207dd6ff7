import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { systemRandom } from '#common/system/random.ts';
import type { Loop } from '#manager/store/index.ts';
import { DEFAULT_RUNNER_CONFIG, type RunnerConfig } from './config.ts';
import { LoopDriver } from './loop-driver.ts';
import type { LoopStore } from './loop-store.ts';
import type { RunnerObserver } from './runner-observer.ts';

export interface RunnerOptions {
  readonly loops: readonly Loop[];
  readonly store: LoopStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Spreads retries. */
  readonly random?: Random;
  readonly observer?: RunnerObserver;
  readonly config?: Partial<RunnerConfig>;
  /** Gives way to the event loop for one turn; the simulator has its own. */
  readonly nextTurn?: () => Promise<void>;
}

/** One time of leadership. */
interface Term {
  readonly drivers: readonly LoopDriver[];
  readonly unsubscribe: () => void;
  readonly finished: Promise<void>;
}

/** Runs the leader loops: all of them while this manager leads, none of them otherwise. */
export class Runner {
  readonly #options: RunnerOptions;
  #term: Term | undefined;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  get running(): boolean {
    return this.#term !== undefined;
  }

  /** Leadership was won: every loop starts from the store as it is. Nothing happens while they run already. */
  start(): void {
    if (this.#term !== undefined) return;
    const { loops, store, clock, logger, observer = {}, random = systemRandom } = this.#options;
    const config = { ...DEFAULT_RUNNER_CONFIG, ...this.#options.config };
    const giveWay = this.#options.nextTurn ?? nextTurn;
    const shared = { store, clock, random, logger, observer, config, nextTurn: giveWay, ownTurn: inLine(giveWay) };
    const drivers = loops.map((loop) => new LoopDriver({ ...shared, loop }));
    const unsubscribe = store.onCommit((commit) => {
      for (const driver of drivers) driver.offer(commit);
    });
    const finished = Promise.all(drivers.map((driver) => driver.run())).then(() => {});
    this.#term = { drivers, unsubscribe, finished };
    logger.info('leader loops started', { loops: loops.map(({ name }) => name) });
  }

  /**
   * Leadership was lost: from now on nothing is planned or proposed. Resolves when what was on its way is settled, or
   * after a deadline; never rejects. Safe to repeat, and to be followed by `start` at once.
   */
  async stop(): Promise<void> {
    const term = this.#term;
    if (term === undefined) return;
    this.#term = undefined;
    const { clock, logger, config } = this.#options;
    term.unsubscribe();
    for (const driver of term.drivers) driver.stop();
    const timeoutMs = config?.stopTimeoutMs ?? DEFAULT_RUNNER_CONFIG.stopTimeoutMs;
    try {
      await withDeadline(term.finished, timeoutMs, 'the leader loops to stop', clock);
      logger.info('leader loops stopped');
    } catch (thrown) {
      logger.warn('leader loops stopped with changes on their way', { error: SwarmError.from(thrown).message });
    }
  }
}

/** Whoever asks gets a turn of the loop alone, in the order in which they asked. */
function inLine(giveWay: () => Promise<void>): () => Promise<void> {
  let last = Promise.resolve();
  return () => {
    last = last.then(giveWay);
    return last;
  };
}
