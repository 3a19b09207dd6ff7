import { type Random, SeededRandom } from '#common/random.ts';

/** The one source of chance in a run. What is given out as a `Random` of its own draws from a seed drawn here. */
export class SimRandom implements Random {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  next(): number {
    return this.#random.next();
  }

  /** Another stream, so that what one part draws does not shift what the others do. */
  fork(): SimRandom {
    return new SimRandom(this.below(2 ** 31));
  }

  /** A whole number from 0 up to, but not including, `bound`. */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  /** A whole number in [low, high]. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.below(from.length)];
    if (picked === undefined) throw new RangeError('nothing to pick from');
    return picked;
  }

  shuffled<T>(from: readonly T[]): T[] {
    const order = from.map((item) => ({ item, at: this.next() }));
    return order.sort((left, right) => left.at - right.at).map(({ item }) => item);
  }
}
