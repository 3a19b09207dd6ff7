/** Counts by service, of which most are 0. */
export class Tally {
  /** Invariant: no entry is 0. */
  readonly #counts = new Map<string, number>();

  get(serviceId: string): number {
    return this.#counts.get(serviceId) ?? 0;
  }

  has(serviceId: string): boolean {
    return this.#counts.has(serviceId);
  }

  get isEmpty(): boolean {
    return this.#counts.size === 0;
  }

  /** Gives whether there are some now where there were none, or none where there were some. */
  add(serviceId: string, difference: number): boolean {
    if (difference === 0) return false;
    const before = this.get(serviceId);
    const after = before + difference;
    if (after === 0) this.#counts.delete(serviceId);
    else this.#counts.set(serviceId, after);
    return (before === 0) !== (after === 0);
  }

  entries(): Iterable<readonly [string, number]> {
    return this.#counts;
  }
}
