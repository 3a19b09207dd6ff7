/** One probe between two checks: what its outcomes come to, and when it is to be made again. Pure. */
import type { PlannedProbe } from './health-plan.ts';

export interface CheckOutcome {
  readonly ok: boolean;
  /** What a check that failed has to say, for the user. */
  readonly message: string;
}

export interface ProbeState {
  /** `open` until enough checks have succeeded, or failed. A probe that passes may come to fail, and the reverse. */
  readonly verdict: 'open' | 'passing' | 'failing';
  /** Checks made, up to what their pace depends on. */
  readonly checks: number;
  /** In a row. Invariant: one of the two is 0. */
  readonly successes: number;
  readonly failures: number;
  /** Of the last check that failed. */
  readonly message: string;
}

export const NEW_PROBE: ProbeState = { verdict: 'open', checks: 0, successes: 0, failures: 0, message: '' };

/** The first checks come quickly, each after twice as long: most programs are there within a second. */
const FIRST_CHECK_MS = 250;
const PACE_CHECKS_MAX = 20;

/** @param elapsedMs since the probe began */
export function absorbOutcome(
  probe: PlannedProbe,
  state: ProbeState,
  outcome: CheckOutcome,
  elapsedMs: number,
): ProbeState {
  const checks = Math.min(state.checks + 1, PACE_CHECKS_MAX);
  if (outcome.ok) {
    const successes = state.successes + 1;
    const verdict = successes >= probe.successThreshold ? 'passing' : state.verdict;
    return { ...state, verdict, checks, successes, failures: 0 };
  }
  const failed = { ...state, checks, successes: 0, message: outcome.message };
  if (isInGrace(probe, state, elapsedMs)) return failed;
  const failures = state.failures + 1;
  return { ...failed, failures, verdict: failures >= probe.failureThreshold ? 'failing' : state.verdict };
}

/** How long after the last check, or after its beginning, the probe makes its next. */
export function nextCheckMs(probe: PlannedProbe, state: ProbeState, elapsedMs: number): number {
  const { intervalMs, graceIntervalMs, initialDelayMs, graceMs } = probe;
  const beginsInMs = Math.max(0, initialDelayMs - elapsedMs);
  // Somebody waits for its first success. Several in a row shall take as long as the spec says.
  const isAwaited = probe.role !== 'liveness' && probe.successThreshold === 1;
  const quickMs = Math.min(graceIntervalMs, FIRST_CHECK_MS * 2 ** state.checks);
  if (state.checks === 0) return beginsInMs + quickMs;
  if (!isAwaited || !isInGrace(probe, state, elapsedMs)) return intervalMs;
  return Math.min(quickMs, Math.max(0, initialDelayMs + graceMs - elapsedMs));
}

function isInGrace({ initialDelayMs, graceMs }: PlannedProbe, { verdict }: ProbeState, elapsedMs: number): boolean {
  return verdict === 'open' && elapsedMs < initialDelayMs + graceMs;
}
