/** What a network gets: its identifier and its subnets. */
import type { Network } from '#gen/swarm/v1/objects.ts';
import type { IpamSubnet } from '#gen/swarm/v1/specs.ts';
import { declaredVni, isIngress, isOverlay } from './attachments.ts';
import { INGRESS_VNI } from './config.ts';
import type { NumberPool } from './number-pool.ts';
import { NO_VNI_LEFT, vniTaken } from './problems.ts';
import { planSubnets, type SubnetDesk } from './subnet-plan.ts';

export interface NetworkPlan {
  readonly vni: number;
  readonly subnets: readonly IpamSubnet[];
  readonly problem: string;
}

export interface NetworkDesk extends SubnetDesk {
  readonly vnis: NumberPool;
}

/** `have` is what the network has, or has been promised. */
export function planNetwork(network: Network, have: Pick<Network, 'vni' | 'subnets'>, desk: NetworkDesk): NetworkPlan {
  const { subnets, problem } = planSubnets(network, have.subnets, desk);
  const { vni, problem: vniProblem } = planVni(network, have.vni, desk);
  return { vni, subnets, problem: problem || vniProblem };
}

function planVni(
  network: Network,
  have: number,
  desk: NetworkDesk,
): { readonly vni: number; readonly problem: string } {
  if (have > 0 || !isOverlay(network)) return { vni: have, problem: '' };
  const named = isIngress(network) ? INGRESS_VNI : declaredVni(network);
  if (named === undefined) {
    const free = desk.vnis.lowestFree();
    return free === undefined ? { vni: 0, problem: NO_VNI_LEFT } : { vni: free, problem: '' };
  }
  const other = desk.vnis.holdersOf(named).find((holder) => holder !== network.id);
  if (other === undefined) return { vni: named, problem: '' };
  return { vni: 0, problem: vniTaken(named, desk.network(other)?.spec?.name ?? other) };
}
