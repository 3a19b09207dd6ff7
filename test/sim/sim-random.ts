import { type Random, SeededRandom } from '#common/random.ts';
import { Draws } from '#raft-ts/sim/draws.ts';

/** The one source of chance in a run. What is given out as a `Random` of its own draws from a seed drawn here. */
export class SimRandom extends Draws implements Random {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    super();
    this.#random = new SeededRandom(seed);
  }

  override next(): number {
    return this.#random.next();
  }

  /** Another stream, so that what one part draws does not shift what the others do. */
  fork(): SimRandom {
    return new SimRandom(this.below(2 ** 31));
  }
}
