/** All that was found, as lines for people: by network, node and pair; what is well in one line a network. Pure. */
import { type NetworkCheckReport, NetworkFinding, type NetworkState, type PathResult } from '#gen/swarm/v1/doctor.ts';
import { DoctorOutcome } from '#gen/swarm/v1/node.ts';
import type { Network } from '#gen/swarm/v1/objects.ts';
import { type Answer, type DeclaredNetwork, judgeAnswer, judgeHost, judgeNetwork, type Verdict } from './judge-node.ts';
import { judgePath } from './judge-path.ts';

export interface ExaminedNetwork {
  readonly network: Network;
  readonly declared: DeclaredNetwork;
  readonly nodeIds: readonly string[];
}

export interface Examination {
  readonly networks: readonly ExaminedNetwork[];
  /** Whether one network was asked for, and is told of at length. */
  readonly isOne: boolean;
  /** By node id; every node of the networks has one. */
  readonly answers: ReadonlyMap<string, Answer>;
  readonly nameOf: (nodeId: string) => string;
  readonly waitedMs: number;
  readonly tunnelPort: number;
  readonly findingsMax: number;
}

function finding(verdict: Verdict, networkName: string, nodeName: string, peerName = ''): NetworkFinding {
  return NetworkFinding.create({ ...verdict, networkName, nodeName, peerName });
}

export function judge(examination: Examination): readonly NetworkFinding[] {
  const { networks, findingsMax } = examination;
  const found = [...hostFindings(examination)];
  for (const network of networks) {
    const own = networkFindings(network, examination);
    found.push(...own.slice(0, findingsMax));
    if (own.length > findingsMax)
      found.push(
        finding(
          {
            check: 'findings',
            outcome: DoctorOutcome.FAIL,
            message: `${own.length - findingsMax} more findings are left out`,
            hint: 'mend what is told and look again',
          },
          network.network.spec?.name ?? '',
          '',
        ),
      );
  }
  return found;
}

function hostFindings({ networks, isOne, answers, nameOf, waitedMs }: Examination): readonly NetworkFinding[] {
  const only = isOne ? networks[0]?.network.spec?.name : undefined;
  const nodeIds = [...answers.keys()].toSorted((left, right) => (nameOf(left) < nameOf(right) ? -1 : 1));
  return nodeIds.flatMap((nodeId) => {
    const answer = answers.get(nodeId);
    const name = nameOf(nodeId);
    if (answer === undefined) return [];
    const verdict = judgeAnswer(answer, name, waitedMs);
    const verdicts = answer.kind === 'report' ? judgeHost(answer.report, name, only) : [];
    return [...(verdict === undefined ? [] : [verdict]), ...verdicts].map((one) => finding(one, '', name));
  });
}

function networkFindings(examined: ExaminedNetwork, examination: Examination): readonly NetworkFinding[] {
  const { network, declared } = examined;
  const { answers, nameOf, isOne } = examination;
  const networkName = network.spec?.name ?? network.id;
  const found: NetworkFinding[] = [];
  if (network.problem !== '')
    found.push(
      finding(
        {
          check: 'declared',
          outcome: DoctorOutcome.FAIL,
          message: network.problem,
          hint: `see \`swarm network inspect --pretty ${networkName}\``,
        },
        networkName,
        '',
      ),
    );
  const nodeIds = [...examined.nodeIds].toSorted((left, right) => (nameOf(left) < nameOf(right) ? -1 : 1));
  for (const nodeId of nodeIds) {
    const answer = answers.get(nodeId);
    if (answer?.kind !== 'report') continue;
    const state = stateOf(answer.report, network.id);
    const verdicts = judgeNetwork(state, declared, nameOf(nodeId));
    found.push(...verdicts.map((one) => finding(one, networkName, nameOf(nodeId))));
    if (isOne && verdicts.length === 0) found.push(finding(wellAt(state, answer.report), networkName, nameOf(nodeId)));
  }
  found.push(...pathFindings(examined, nodeIds, examination));
  const isWell = !found.some(({ outcome }) => outcome === DoctorOutcome.FAIL);
  if (isWell) found.push(finding(wellBetween(examined, examination), networkName, ''));
  return found;
}

function stateOf(report: NetworkCheckReport, networkId: string): NetworkState | undefined {
  return report.networks.find((state) => state.networkId === networkId);
}

function pathsOf(answer: Answer | undefined, networkId: string): readonly PathResult[] {
  return answer?.kind === 'report' ? (stateOf(answer.report, networkId)?.paths ?? []) : [];
}

/** Both ends have to have reported: a node that did not answers no packets either, and is named anyway. */
function pathFindings(
  { network }: ExaminedNetwork,
  nodeIds: readonly string[],
  { answers, nameOf, tunnelPort }: Examination,
): readonly NetworkFinding[] {
  const networkName = network.spec?.name ?? network.id;
  const found: NetworkFinding[] = [];
  for (const nodeId of nodeIds) {
    const answer = answers.get(nodeId);
    for (const result of pathsOf(answer, network.id)) {
      const peer = answers.get(result.peerId);
      if (answer?.kind !== 'report' || peer?.kind !== 'report') continue;
      const verdict = judgePath({
        result,
        reverse: pathsOf(peer, network.id).find(({ peerId }) => peerId === nodeId),
        nodeName: nameOf(nodeId),
        peerName: nameOf(result.peerId),
        device: answer.report.underlayDevice,
        networkName,
        tunnelPort,
      });
      if (verdict !== undefined)
        found.push(
          finding({ ...verdict, outcome: DoctorOutcome.FAIL }, networkName, nameOf(nodeId), nameOf(result.peerId)),
        );
    }
  }
  return found;
}

function wellAt(state: NetworkState | undefined, report: NetworkCheckReport): Verdict {
  const paths = state?.paths ?? [];
  const shortest = paths.map((path) => path.roundTripUs).filter((us) => us > 0);
  const times = shortest.length === 0 ? '' : `; there and back in ${milliseconds(shortest)}`;
  const names = state?.name === undefined ? '' : `; ${state.name.name} is known`;
  const device =
    paths.length === 0
      ? ''
      : `; packets up to ${Math.max(...paths.map((path) => path.full))} bytes by ${report.underlayDevice}`;
  return { check: 'node', outcome: DoctorOutcome.OK, message: `as declared${names}${device}${times}`, hint: '' };
}

function milliseconds(us: readonly number[]): string {
  const text = (value: number): string => (value / 1000).toFixed(value < 10_000 ? 1 : 0);
  const [least, most] = [Math.min(...us), Math.max(...us)];
  return text(least) === text(most) ? `${text(least)} ms` : `${text(least)} to ${text(most)} ms`;
}

function wellBetween({ network, nodeIds }: ExaminedNetwork, { answers }: Examination): Verdict {
  const reported = nodeIds.filter((nodeId) => answers.get(nodeId)?.kind === 'report');
  const tried = new Set<string>();
  for (const nodeId of reported)
    for (const { peerId } of pathsOf(answers.get(nodeId), network.id))
      if (answers.get(peerId)?.kind === 'report') tried.add([nodeId, peerId].toSorted(byText).join(' '));
  const nodes = `${nodeIds.length} node${nodeIds.length === 1 ? '' : 's'}`;
  const pairs = (nodeIds.length * (nodeIds.length - 1)) / 2;
  const ways = pairs === 0 ? '' : `, ${tried.size} of ${pairs} pairs tried`;
  const message =
    nodeIds.length === 0
      ? 'no node has a task on it'
      : `well on ${reported.length === nodeIds.length ? nodes : `${reported.length} of ${nodes}`}${ways}`;
  return { check: 'network', outcome: DoctorOutcome.OK, message, hint: '' };
}

function byText(left: string, right: string): number {
  return left < right ? -1 : 1;
}
