/** What was found of networks, as `swarm doctor` prints it. */
import type { NetworkCheckSummary, NetworkFinding } from '#gen/swarm/v1/doctor.ts';
import { DoctorOutcome } from '#gen/swarm/v1/node.ts';
import { outcomeLabel } from './report.ts';

const GAP = '   ';
const NOTHING = '-';

function place({ nodeName, peerName }: NetworkFinding): string {
  if (nodeName === '') return NOTHING;
  return peerName === '' ? nodeName : `${nodeName} -> ${peerName}`;
}

/** A line for every finding, the way out below what is not well, and a last line that counts. */
export function formatNetworkReport(findings: readonly NetworkFinding[], summary: NetworkCheckSummary): string {
  const rows = findings.map((finding) => ({
    cells: [
      finding.networkName === '' ? NOTHING : finding.networkName,
      place(finding),
      finding.check,
      outcomeLabel(finding.outcome),
      finding.message,
    ],
    hint: finding.hint,
  }));
  const header = ['NETWORK', 'NODE', 'CHECK', 'RESULT', 'FINDING'];
  const widths = header.map((title, at) => Math.max(title.length, ...rows.map(({ cells }) => cells[at]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, at) => (at === cells.length - 1 ? cell : cell.padEnd(widths[at] ?? 0))).join(GAP);
  const indent = ' '.repeat(widths.slice(0, -1).reduce((sum, width) => sum + width + GAP.length, 0));
  const lines = [line(header)];
  for (const { cells, hint } of rows) {
    lines.push(line(cells));
    if (hint !== '') lines.push(`${indent}-> ${hint}`);
  }
  return `${lines.join('\n')}\n\n${summaryLine(findings, summary)}\n`;
}

/** Beside those of `reportObjects` in one list: these have a network, a node and a peer. */
export function networkReportObjects(findings: readonly NetworkFinding[]): readonly Readonly<Record<string, string>>[] {
  return findings.map(({ networkName, nodeName, peerName, check, outcome, message, hint }) => ({
    network: networkName,
    node: nodeName,
    peer: peerName,
    check,
    outcome: outcomeLabel(outcome).toLowerCase(),
    message,
    hint,
  }));
}

/** 1 when something is wrong; warnings alone are no failure. */
export function networkExitCode(findings: readonly NetworkFinding[]): number {
  return findings.some(({ outcome }) => outcome === DoctorOutcome.FAIL) ? 1 : 0;
}

function count(value: number, what: string): string {
  return `${value} ${what}${value === 1 ? '' : 's'}`;
}

function summaryLine(
  findings: readonly NetworkFinding[],
  { networks, nodes, answered, pairs, testedPairs }: NetworkCheckSummary,
): string {
  const of = (outcome: DoctorOutcome): number => findings.filter((finding) => finding.outcome === outcome).length;
  const failures = of(DoctorOutcome.FAIL);
  const warnings = of(DoctorOutcome.WARN);
  const verdict =
    failures + warnings === 0 ? 'all is well' : `${count(failures, 'failure')}, ${count(warnings, 'warning')}`;
  const seen = nodes === answered ? count(nodes, 'node') : `${answered} of ${count(nodes, 'node')}`;
  const ways = testedPairs === pairs ? count(pairs, 'pair') : `${testedPairs} of ${count(pairs, 'pair')}`;
  return `${count(networks, 'network')}, ${seen}, ${ways} of nodes tried: ${verdict}.`;
}
