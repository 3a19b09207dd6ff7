import { Violation } from './checker.ts';
import { Group } from './group.ts';
import { Healing } from './healing.ts';
import { HAPPENINGS } from './load.ts';
import { ELECTION_TIMEOUT, type Fault } from './options.ts';

/** Progress is due this long after healing: elections may fail a few times, and everybody may have to catch up. */
const PROGRESS_DUE = 100 * ELECTION_TIMEOUT;

/** What went wrong in a run. */
export interface Failure {
  readonly seed: number;
  /** Virtual milliseconds from the start. */
  readonly time: number;
  readonly text: string;
}

/** The life of one group, from its birth through faults to its healing. */
export class Simulation {
  readonly #seed: number;
  readonly #group: Group;

  constructor(seed: number, onTrace?: (line: string) => void) {
    this.#seed = seed;
    this.#group = new Group(seed, onTrace);
  }

  /** The failure, if there is one. */
  run(): Failure | undefined {
    const { events, options } = this.#group;
    try {
      this.#group.birth();
      for (const fault of Object.keys(HAPPENINGS) as Fault[]) this.#repeat(fault);
      events.run(options.faultyTime, () => false);
      return this.#heal();
    } catch (thrown) {
      const text =
        thrown instanceof Violation
          ? thrown.message
          : thrown instanceof Error
            ? (thrown.stack ?? thrown.message)
            : String(thrown);
      return { seed: this.#seed, time: events.now, text };
    }
  }

  #repeat(fault: Fault): void {
    const { options, random } = this.#group;
    const every = options.every[fault];
    if (every === Infinity) return;
    this.#group.later(random.between(1, 2 * every), () => {
      HAPPENINGS[fault](this.#group);
      this.#repeat(fault);
    });
  }

  /** Ends the faults and demands progress. */
  #heal(): Failure | undefined {
    const { events } = this.#group;
    this.#group.endFaults();
    const healing = new Healing(this.#group);
    healing.start();
    const done = events.run(events.now + PROGRESS_DUE, () => healing.done());
    if (done) return undefined;
    return { seed: this.#seed, time: events.now, text: `no progress after healing: ${healing.explain()}` };
  }
}
