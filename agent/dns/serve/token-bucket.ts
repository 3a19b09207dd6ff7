/** How often each asker may ask. Pure: the time is an argument. */

interface Bucket {
  tokens: number;
  atMs: number;
}

/** Invariant: forgets those whose bucket is full again, so that it holds no more than who asked lately. */
export class TokenBuckets {
  readonly #perSecond: number;
  readonly #bucketsMax: number;
  readonly #buckets = new Map<string, Bucket>();

  /** A second's worth may come at once. */
  constructor(perSecond: number, bucketsMax: number) {
    this.#perSecond = perSecond;
    this.#bucketsMax = bucketsMax;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Whether one more is within the limit; it is counted then. */
  take(who: string, nowMs: number): boolean {
    const bucket = this.#buckets.get(who);
    if (bucket === undefined) {
      if (this.#buckets.size >= this.#bucketsMax) this.#forgetFull(nowMs);
      if (this.#buckets.size >= this.#bucketsMax) return false;
      this.#buckets.set(who, { tokens: this.#perSecond - 1, atMs: nowMs });
      return true;
    }
    bucket.tokens = Math.min(this.#perSecond, bucket.tokens + ((nowMs - bucket.atMs) * this.#perSecond) / 1000);
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

  #forgetFull(nowMs: number): void {
    for (const [who, { tokens, atMs }] of this.#buckets)
      if (tokens + ((nowMs - atMs) * this.#perSecond) / 1000 >= this.#perSecond) this.#buckets.delete(who);
  }
}
