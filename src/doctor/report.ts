/** The findings as `swarm doctor` prints them. */
import { type DoctorFinding, DoctorOutcome } from '#gen/swarm/v1/node.ts';

const LABELS: { readonly [Outcome in DoctorOutcome]: string } = {
  [DoctorOutcome.UNSPECIFIED]: '?',
  [DoctorOutcome.OK]: 'ok',
  [DoctorOutcome.WARN]: 'WARN',
  [DoctorOutcome.FAIL]: 'FAIL',
};

const GAP = '   ';

export function outcomeLabel(outcome: DoctorOutcome): string {
  return LABELS[outcome];
}

/** A table with a line for every check, the way out below what is not well, and a last line that counts. */
export function formatReport(findings: readonly DoctorFinding[]): string {
  const nameWidth = Math.max(5, ...findings.map((finding) => finding.check.length));
  const resultWidth = 6;
  const row = (name: string, result: string, text: string): string =>
    `${name.padEnd(nameWidth)}${GAP}${result.padEnd(resultWidth)}${GAP}${text}`.trimEnd();
  const lines = [row('CHECK', 'RESULT', 'FINDING')];
  for (const { check, outcome, message, hint } of findings) {
    lines.push(row(check, LABELS[outcome], message));
    if (hint !== '') lines.push(row('', '', `-> ${hint}`));
  }
  return `${lines.join('\n')}\n\n${summary(findings)}\n`;
}

/** Lower-case outcomes, for `--format json` and scripts. */
export function reportObjects(
  findings: readonly DoctorFinding[],
): readonly { readonly check: string; readonly outcome: string; readonly message: string; readonly hint: string }[] {
  return findings.map(({ check, outcome, message, hint }) => ({
    check,
    outcome: LABELS[outcome].toLowerCase(),
    message,
    hint,
  }));
}

/** 1 when a check failed; warnings alone are no failure. */
export function reportExitCode(findings: readonly DoctorFinding[]): number {
  return findings.some((finding) => finding.outcome === DoctorOutcome.FAIL) ? 1 : 0;
}

function summary(findings: readonly DoctorFinding[]): string {
  const count = (outcome: DoctorOutcome): number => findings.filter((finding) => finding.outcome === outcome).length;
  const failures = count(DoctorOutcome.FAIL);
  const warnings = count(DoctorOutcome.WARN);
  if (failures === 0 && warnings === 0) return `All ${findings.length} checks are well.`;
  const parts = [
    `${findings.length} checks`,
    `${failures} failure${failures === 1 ? '' : 's'}`,
    `${warnings} warning${warnings === 1 ? '' : 's'}`,
  ];
  return `${parts.join(', ')}.`;
}
