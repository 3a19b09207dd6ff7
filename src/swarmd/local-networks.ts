/** What this host alone can say of the swarm's networks, for `swarm doctor` on it. */
import { newId } from '#common/ids.ts';
import { CheckedNetwork, NetworkCheck, TableDigest } from '#gen/swarm/v1/doctor.ts';
import { DoctorFinding, DoctorOutcome } from '#gen/swarm/v1/node.ts';
import { judgeHost, judgeNetwork } from '#manager/doctor/index.ts';
import type { DaemonParts } from './daemon-parts.ts';
import type { MembershipState } from './membership-state.ts';

const CHECK = 'networks';
const BUDGET_MS = 4_000;

/** Nothing on a host that is in no swarm. */
export async function localNetworkFindings(
  { networkDoctor, random, hostname }: DaemonParts,
  state: MembershipState,
): Promise<readonly DoctorFinding[]> {
  if (networkDoctor === undefined || state.kind !== 'active') return [];
  const { discovery } = state.agent;
  const networks = [...discovery.views.keys()].map((networkId) => CheckedNetwork.create({ networkId }));
  const check = NetworkCheck.create({ id: newId(random), budgetMs: BUDGET_MS, networks });
  const report = await networkDoctor.examine(check, discovery);
  const own = { digest: TableDigest.create({}), hasChanged: false, isSame: () => true };
  const findings = judgeHost(report, hostname, undefined).map((verdict) => ({ ...verdict, where: 'this host' }));
  for (const { networkId } of networks) {
    const where = `network ${discovery.views.get(networkId)?.table.name ?? networkId}`;
    const known = report.networks.find((one) => one.networkId === networkId);
    findings.push(...judgeNetwork(known, own, hostname).map((verdict) => ({ ...verdict, where })));
  }
  const told = findings.map(({ where, outcome, message, hint }) =>
    DoctorFinding.create({ check: CHECK, outcome, message: `${where}: ${message}`, hint }),
  );
  if (findings.some(({ outcome }) => outcome === DoctorOutcome.FAIL)) return told;
  const message = `${networks.length} network${networks.length === 1 ? ' is' : 's are'} here as this node was told`;
  return [...told, DoctorFinding.create({ check: CHECK, outcome: DoctorOutcome.OK, message })];
}
