import { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { DoctorFinding, DoctorOutcome } from '#gen/swarm/v1/node.ts';
import type { Check, DoctorContext, Verdict } from './check.ts';
import { DOCTOR_CONFIG } from './config.ts';

const OUTCOMES: { readonly [Outcome in Verdict['outcome']]: DoctorOutcome } = {
  ok: DoctorOutcome.OK,
  warn: DoctorOutcome.WARN,
  fail: DoctorOutcome.FAIL,
};

/**
 * Runs those of the checks that count for the context's purpose, a few at once; findings in the order of the checks.
 * Never rejects: what breaks is a warning.
 */
export async function runChecks(
  checks: readonly Check[],
  context: DoctorContext,
  timeoutMs: number = DOCTOR_CONFIG.checkTimeoutMs,
): Promise<readonly DoctorFinding[]> {
  const relevant = checks.filter((check) => check.purposes.includes(context.purpose));
  const findings: (DoctorFinding | undefined)[] = relevant.map(() => undefined);
  const queue = relevant.entries();
  const worker = async (): Promise<void> => {
    for (const [index, check] of queue) findings[index] = await runCheck(check, context, timeoutMs);
  };
  await Promise.all(Array.from({ length: DOCTOR_CONFIG.concurrency }, worker));
  return findings.filter((finding) => finding !== undefined);
}

async function runCheck(check: Check, context: DoctorContext, timeoutMs: number): Promise<DoctorFinding | undefined> {
  let verdict: Verdict | undefined;
  try {
    verdict = await withDeadline(check.run(context), timeoutMs, `the check ${check.name}`);
  } catch (thrown) {
    const error = SwarmError.from(thrown);
    const hint = error.hint ?? 'run the daemon as root, and see its log';
    verdict = { outcome: 'warn', message: `could not be checked: ${error.message}`, hint };
  }
  if (verdict === undefined) return undefined;
  const { outcome, message, hint } = verdict;
  return DoctorFinding.create({ check: check.name, outcome: OUTCOMES[outcome], message, hint: hint ?? '' });
}

/** The refusal for `init` and `join` when a check failed; undefined when all may go on. */
export function preflightRefusal(findings: readonly DoctorFinding[]): SwarmError | undefined {
  const failed = findings.filter((finding) => finding.outcome === DoctorOutcome.FAIL);
  if (failed.length === 0) return undefined;
  return new SwarmError({
    code: 'precondition',
    reason: 'preflight',
    message: `this host is not ready: ${failed.map(({ check, message }) => `${check}: ${message}`).join('; ')}`,
    hint: `${failed.map(({ hint }) => hint).join('; ')}; or go on in spite of it with --skip-preflight`,
  });
}

/** What `init` and `join` answer as warnings. */
export function preflightWarnings(findings: readonly DoctorFinding[]): readonly string[] {
  return findings
    .filter((finding) => finding.outcome === DoctorOutcome.WARN)
    .map(({ check, message, hint }) => `${check}: ${message} (${hint})`);
}
