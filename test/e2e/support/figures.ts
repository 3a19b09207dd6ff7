/** Figures of tests, and random moments that can be had again. */

export interface Spread {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** Nearest rank: every figure is one that was measured. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((left, right) => left - right);
  const at = (share: number): number => Math.round(sorted[Math.ceil(share * sorted.length) - 1] ?? 0);
  return { count: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}

export function spreadText({ count, p50, p90, p99, max }: Spread): string {
  return `${count} times: p50 ${p50} ms, p90 ${p90} ms, p99 ${p99} ms, max ${max} ms`;
}

/** Shown under the test's line. */
export function tell(text: string): void {
  process.stderr.write(`      ${text}\n`);
}

const SEED_VARIABLE = 'STARLING_SEED';

/** Numbers in [0, 1); the seed is shown, and taken from STARLING_SEED to have the same ones again. */
export function seededRandom(): () => number {
  let state = Number(process.env[SEED_VARIABLE] ?? Math.floor(Math.random() * 2 ** 31));
  tell(`${SEED_VARIABLE}=${state}`);
  return () => {
    // Mulberry32.
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
