/** What is wrong at one node, by what it says of itself and what is declared. Pure. */
import type { NetworkCheckReport, NetworkState, TableDigest } from '#gen/swarm/v1/doctor.ts';
import { DoctorOutcome } from '#gen/swarm/v1/node.ts';

export interface Verdict {
  readonly check: string;
  readonly outcome: DoctorOutcome;
  readonly message: string;
  readonly hint: string;
}

export type Answer =
  | { readonly kind: 'report'; readonly report: NetworkCheckReport }
  /** `down`: the swarm counts it as gone; `absent`: it has no session; `late`: it did not report in time. */
  | { readonly kind: 'down' | 'absent' | 'unable' | 'late' };

function fail(check: string, message: string, hint: string): Verdict {
  return { check, outcome: DoctorOutcome.FAIL, message, hint };
}

function warn(check: string, message: string, hint: string): Verdict {
  return { check, outcome: DoctorOutcome.WARN, message, hint };
}

/** Undefined for a node that has reported. */
export function judgeAnswer(answer: Answer, nodeName: string, waitedMs: number): Verdict | undefined {
  switch (answer.kind) {
    case 'report':
      return undefined;
    case 'down':
      return fail(
        'answer',
        'the node is down: it was not looked at',
        `start it, or remove it: \`swarm node rm ${nodeName}\``,
      );
    case 'absent':
      return fail(
        'answer',
        'the node has no connection to the leader',
        `look at \`swarm info\` and the log of swarmd on ${nodeName}`,
      );
    case 'unable':
      return warn('answer', 'the node’s release cannot look at networks', `upgrade ${nodeName}`);
    case 'late':
      return fail(
        'answer',
        `the node did not answer within ${waitedMs / 1000} s`,
        `look whether swarmd on ${nodeName} hangs or is stopped, and at the load of the host`,
      );
  }
}

const LATELY_NAMED = 2;

/** What concerns the node as such; with `networkName` repairs of other networks are left out. */
export function judgeHost(
  report: NetworkCheckReport,
  nodeName: string,
  networkName: string | undefined,
): readonly Verdict[] {
  const verdicts: Verdict[] = [];
  if (!report.applied)
    verdicts.push(
      fail(
        'applied',
        report.problem,
        `see why in the log of swarmd on ${nodeName}; restarting it has it told everything anew`,
      ),
    );
  if (report.differences.length > 0)
    verdicts.push(fail('kernel', `not as it should be: ${report.differences.join(', ')}`, HEALS));
  const repairs = report.repairs.filter(
    ({ what }) =>
      networkName === undefined || !what.startsWith('network ') || what.startsWith(`network ${networkName}:`),
  );
  if (repairs.length > 0) {
    const named = repairs
      .slice(0, LATELY_NAMED)
      .map(({ what, ageMs }) => `${what} (${Math.round(ageMs / 1000)} s ago)`);
    const more = repairs.length > named.length ? ` and ${repairs.length - named.length} more` : '';
    verdicts.push(warn('repaired', `the node has put right ${named.join(', ')}${more}`, WHO));
  }
  return verdicts;
}

const WHO = 'if it happens again, find what changes the network of the host: another firewall, a network manager';
const HEALS = `the node puts this right by itself within ten seconds: look again; ${WHO}`;

export interface DeclaredNetwork {
  /** When the check began. */
  readonly digest: TableDigest;
  /** Whether the table has changed since. */
  readonly hasChanged: boolean;
  readonly isSame: (digest: TableDigest) => boolean;
}

/** What concerns one network on the node. */
export function judgeNetwork(
  state: NetworkState | undefined,
  declared: DeclaredNetwork,
  nodeName: string,
): readonly Verdict[] {
  const again = `restart swarmd on ${nodeName}: it is then told everything anew, and its tasks go on`;
  if (state === undefined || !state.known)
    return declared.hasChanged ? [] : [fail('declared', 'the node does not know of the network', again)];
  const verdicts: Verdict[] = [];
  const { digest, problem, differences, name } = state;
  if (digest !== undefined && !declared.hasChanged && !declared.isSame(digest))
    verdicts.push(
      fail(
        'declared',
        `the node has another table: ${counts(digest)}, where ${counts(declared.digest)} are declared`,
        again,
      ),
    );
  if (problem !== '')
    verdicts.push(
      fail('applied', problem, `it is tried again every ten seconds; the log of swarmd on ${nodeName} says more`),
    );
  if (differences.length > 0) verdicts.push(fail('kernel', `not as declared: ${differences.join(', ')}`, HEALS));
  if (name !== undefined && !name.right)
    verdicts.push(
      fail(
        'names',
        `a task that asks for ${name.name} gets ${name.problem}`,
        `see resolver.log in the run directory of ${nodeName}; ending the process \`resolver\` has it started anew`,
      ),
    );
  return verdicts;
}

function counts({ peers, services, endpoints }: TableDigest): string {
  return `${peers} nodes, ${services} services and ${endpoints} tasks`;
}
