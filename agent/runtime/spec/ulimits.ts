/** Resource limits of processes (setrlimit(2)). Pure. */
import { invalidField } from '#common/errors.ts';
import { ULIMITS } from '#common/kernel-names.ts';
import type { UlimitSpec } from './container-spec.ts';
import type { OciRlimit } from './oci-spec.ts';

/** Programs that close every possible descriptor in a loop suffer from the kernel's million; systemd's own choice. */
const DEFAULT_NOFILE: UlimitSpec = { name: 'nofile', soft: 1024, hard: 524_288 };

/** RLIM_INFINITY: beyond what a number can hold. */
const UNLIMITED = 2n ** 64n - 1n;

/** Hard limits by name, of the text of /proc/PID/limits; Infinity where unlimited. */
export function parseHardLimits(text: string): ReadonlyMap<string, number> {
  const limits = new Map<string, number>();
  for (const line of text.split('\n'))
    for (const [name, title] of ULIMITS) {
      if (!line.startsWith(`${title} `)) continue;
      const [, hard] = line.slice(title.length).trim().split(/\s+/);
      limits.set(name, hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard));
    }
  return limits;
}

export interface UlimitChoice {
  readonly rlimits: readonly OciRlimit[];
  /** Names of those that were lowered to what this machine allows. */
  readonly lowered: readonly string[];
}

function value(field: string, wanted: number): number {
  if (wanted === -1) return Number.POSITIVE_INFINITY;
  if (!Number.isSafeInteger(wanted) || wanted < 0)
    throw invalidField(field, `${field}: ${wanted} is not a limit`, 'use a whole number, or -1 for unlimited');
  return wanted;
}

/**
 * `ceilings` are our own hard limits, where we may not raise them (no CAP_SYS_RESOURCE); empty where we may. What is
 * above is lowered: a runtime would refuse to start. Throws `bad-field` for unknown names and soft above hard.
 */
export function buildRlimits(ulimits: readonly UlimitSpec[], ceilings: ReadonlyMap<string, number>): UlimitChoice {
  const chosen = new Map([[DEFAULT_NOFILE.name, DEFAULT_NOFILE]]);
  for (const ulimit of ulimits) {
    if (!ULIMITS.has(ulimit.name))
      throw invalidField(
        'ulimits',
        `ulimits: unknown limit ${JSON.stringify(ulimit.name)}`,
        `use one of ${[...ULIMITS.keys()].join(', ')}`,
      );
    chosen.set(ulimit.name, ulimit);
  }
  const lowered: string[] = [];
  const rlimits = [...chosen.values()].map(({ name, soft, hard }): OciRlimit => {
    const wantedSoft = value(`ulimits.${name}`, soft);
    const wantedHard = value(`ulimits.${name}`, hard);
    if (wantedSoft > wantedHard)
      throw invalidField(`ulimits.${name}`, `ulimits.${name}: the soft limit ${soft} is above the hard limit ${hard}`);
    const ceiling = ceilings.get(name) ?? Number.POSITIVE_INFINITY;
    if (wantedHard > ceiling && name !== DEFAULT_NOFILE.name) lowered.push(name);
    const within = (limit: number): number | bigint => {
      const lower = Math.min(limit, ceiling);
      return lower === Number.POSITIVE_INFINITY ? UNLIMITED : lower;
    };
    return { type: `RLIMIT_${name.toUpperCase()}`, soft: within(wantedSoft), hard: within(wantedHard) };
  });
  return { rlimits, lowered };
}
