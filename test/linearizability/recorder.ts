import {
  type HistoryEvent,
  machineMonotonicMs,
  type OperationInit,
  type Outcome,
  type WatchedChange,
} from './history.ts';

export interface RecorderOptions {
  /** By default the clock that all processes of the machine share. */
  readonly nowMs?: () => number;
  /** Gets every event as a line of JSON as it happens, for instance to append to a file. */
  readonly sink?: ((line: string) => void) | undefined;
}

/** Says how the operation ended, once. */
export type Finish = (outcome: Outcome) => void;

export interface RecordedWatch {
  commit(version: number, changes: readonly WatchedChange[]): void;
  end(): void;
}

/**
 * Writes down what clients and watchers do and see. Several recorders, also in several processes, may make one history:
 * give each of their clients another name and join the lines.
 */
export class HistoryRecorder {
  readonly #nowMs: () => number;
  readonly #sink: ((line: string) => void) | undefined;
  readonly #numbers = new Map<string, number>();
  readonly #events: HistoryEvent[] = [];

  constructor({ nowMs = machineMonotonicMs, sink }: RecorderOptions = {}) {
    this.#nowMs = nowMs;
    this.#sink = sink;
  }

  /** Everything so far, in the order it was recorded. */
  events(): readonly HistoryEvent[] {
    return this.#events;
  }

  /** Call right before the request is sent; call what it returns right after the answer came. */
  invoke(operation: OperationInit): Finish {
    const { process, key, kind, value, expected } = operation;
    const number = 1 + (this.#numbers.get(process) ?? 0);
    this.#numbers.set(process, number);
    this.#record({ type: 'invoke', number, process, key, kind, value, expected, atMs: this.#nowMs() });
    let finished = false;
    return (outcome) => {
      if (finished) return;
      finished = true;
      this.#record({ type: 'return', process, number, ...outcome, atMs: this.#nowMs() });
    };
  }

  /**
   * Runs an operation. `outcome` tells how it ended by what `run` returned; `failure` by what it threw, which by default
   * is `unknown`. Resolves to the outcome and never rejects.
   */
  async run<T>(
    operation: OperationInit,
    run: () => Promise<T>,
    outcome: (result: T) => Outcome = () => ({ outcome: 'ok' }),
    failure: (thrown: unknown) => Outcome = () => ({ outcome: 'unknown' }),
  ): Promise<Outcome> {
    const finish = this.invoke(operation);
    const ended = await run().then(outcome, failure);
    finish(ended);
    return ended;
  }

  /** From now on the watcher is told every commit after the version. A watcher that begins again calls it again. */
  watch(watcher: string, after: number, options: { readonly everything: boolean }): RecordedWatch {
    this.#record({ type: 'watch', watcher, after, everything: options.everything, atMs: this.#nowMs() });
    return {
      commit: (version, changes) => this.#record({ type: 'commit', watcher, version, changes, atMs: this.#nowMs() }),
      end: () => this.#record({ type: 'unwatch', watcher, atMs: this.#nowMs() }),
    };
  }

  #record(event: HistoryEvent): void {
    this.#events.push(event);
    this.#sink?.(`${JSON.stringify(event)}\n`);
  }
}
