import type { SwarmError } from '#common/errors.ts';
import type { Checker } from './checker.ts';
import type { Options } from './options.ts';
import type { Joined, SimManager } from './sim-manager.ts';
import type { SimNetwork } from './sim-network.ts';
import type { ProcessWorld, SimProcess } from './sim-process.ts';

/** What a manager asks of the simulation around it. */
export interface World {
  readonly options: Options;
  readonly clockWorld: ProcessWorld;
  readonly network: SimNetwork;
  readonly checker: Checker;
  readonly operator: Caretaker;
  /** Nothing is to be written any more, so that all come to rest. */
  readonly isQuiet: boolean;
  trace(text: () => string): void;
  /** A promise was broken. */
  broken(text: string): never;
  /** Runs something that a manager calls: what is broken there is kept, and does not hit the manager. */
  noted(run: () => void): void;
  /** Asks whoever leads to take this manager in; resolves in its process. */
  askToJoin(manager: SimManager, process: SimProcess): Promise<Joined>;
}

/** Whoever looks after the machines, and is told what becomes of their managers. */
export interface Caretaker {
  hasStarted(manager: SimManager): void;
  startFailed(manager: SimManager, error: SwarmError): void;
  logFailed(manager: SimManager, error: SwarmError): void;
  removed(manager: SimManager): void;
  /** A life of its process is over. */
  ended(manager: SimManager): void;
}
