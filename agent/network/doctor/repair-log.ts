/** What this node has put right by itself lately. */
import type { Clock } from '#common/clock.ts';
import { NetworkRepair } from '#gen/swarm/v1/doctor.ts';

const KEPT_MAX = 50;
/** Older ones are of no interest to who looks into a problem. */
const KEPT_MS = 600_000;

export class RepairLog {
  readonly #clock: Clock;
  /** Newest first; of one comparison in the order in which they were made. */
  #repairs: readonly { readonly what: string; readonly atMs: number }[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(words: readonly string[]): void {
    const atMs = this.#clock.monotonic();
    this.#repairs = [...words.map((what) => ({ what, atMs })), ...this.#repairs].slice(0, KEPT_MAX);
  }

  /** Newest first. */
  list(): readonly NetworkRepair[] {
    const now = this.#clock.monotonic();
    return this.#repairs
      .filter(({ atMs }) => now - atMs <= KEPT_MS)
      .map(({ what, atMs }) => NetworkRepair.create({ what, ageMs: Math.round(now - atMs) }));
  }
}
