import { syncBuiltinESMExports } from 'node:module';
import timersPromises from 'node:timers/promises';
import type { SimProcess } from './sim-process.ts';

/**
 * Closes the doors to real time while managers are simulated: turns of the event loop become virtual ones of the process
 * that asks, and a timer of the machine is an error, because a run that used one would not replay.
 */
export class RealTimeDoors {
  readonly #current: () => SimProcess | undefined;
  #reopen: (() => void) | undefined;
  /** What came through a door that should have been closed. */
  leak: Error | undefined;

  /** `current` is the process whose event is being handled. */
  constructor(current: () => SimProcess | undefined) {
    this.#current = current;
  }

  close(): void {
    const { setImmediate: immediate, setTimeout: timeout, setInterval: interval } = globalThis;
    const { setImmediate: promisedImmediate, setTimeout: promisedTimeout } = timersPromises;
    const nextTurn = (run: () => void): void => this.#nextTurn(run);
    const refuse = (): never => this.#refuse();
    Object.assign(globalThis, { setImmediate: nextTurn, setTimeout: refuse, setInterval: refuse });
    Object.assign(timersPromises, {
      setImmediate: () => new Promise<void>((resolve) => nextTurn(resolve)),
      setTimeout: refuse,
    });
    syncBuiltinESMExports();
    this.#reopen = () => {
      Object.assign(globalThis, { setImmediate: immediate, setTimeout: timeout, setInterval: interval });
      Object.assign(timersPromises, { setImmediate: promisedImmediate, setTimeout: promisedTimeout });
      syncBuiltinESMExports();
    };
  }

  open(): void {
    this.#reopen?.();
    this.#reopen = undefined;
  }

  #nextTurn(run: () => void): void {
    const process = this.#current();
    if (process === undefined) this.#refuse();
    else process.nextTurn(run);
  }

  #refuse(): never {
    this.leak = new Error('real time was asked for');
    throw this.leak;
  }
}
