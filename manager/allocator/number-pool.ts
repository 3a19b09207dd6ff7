import { Holders } from './holders.ts';

/** Numbers of which each has one holder; the lowest free one is given out next. */
export class NumberPool {
  readonly first: number;
  readonly last: number;
  readonly #holders = new Holders<number>();
  /** Every number from `first` to this one, excluded, is taken. */
  #freeFrom: number;

  constructor(first: number, last: number) {
    this.first = first;
    this.last = last;
    this.#freeFrom = first;
  }

  get isEmpty(): boolean {
    return this.#holders.isEmpty;
  }

  hold(number: number, holder: string): void {
    this.#holders.add(number, holder);
  }

  drop(number: number, holder: string): void {
    if (this.#holders.remove(number, holder) && number >= this.first) this.#freeFrom = Math.min(this.#freeFrom, number);
  }

  holdersOf(number: number): readonly string[] {
    return this.#holders.of(number);
  }

  /** Undefined when all are taken. */
  lowestFree(): number | undefined {
    while (this.#freeFrom <= this.last && this.#holders.has(this.#freeFrom)) this.#freeFrom++;
    return this.#freeFrom <= this.last ? this.#freeFrom : undefined;
  }
}
