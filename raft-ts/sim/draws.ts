/** What is drawn by chance, all of it from one stream of numbers. */
export abstract class Draws {
  /** The next number of the stream, in [0, 1). */
  abstract next(): number;

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
