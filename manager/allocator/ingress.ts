import { newId } from '#common/ids.ts';
import type { Random } from '#common/random.ts';
import { Network } from '#gen/swarm/v1/objects.ts';
import { IpamSpec, NetworkSpec } from '#gen/swarm/v1/specs.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import { isIngress } from './attachments.ts';
import { NETWORKS_LEVEL } from './config.ts';

export const INGRESS_NAME = 'ingress';

/** The network that published ports come in by, as every cluster has it from its beginning. */
export function ingressNetwork(id: string): Network {
  return Network.create({
    id,
    spec: NetworkSpec.create({
      name: INGRESS_NAME,
      driver: 'overlay',
      ipv6: true,
      ingress: true,
      ipam: IpamSpec.create({ driver: 'default' }),
    }),
  });
}

/** What comes with a feature level that the cluster is raised to: with that of networks, the one that everybody needs. */
export function changesOfLevel(view: StoreView, level: number, random: Random): readonly Change[] {
  const before = view.cluster()?.featureLevel ?? 0;
  if (before >= NETWORKS_LEVEL || level < NETWORKS_LEVEL || [...view.all('network')].some(isIngress)) return [];
  return [{ kind: 'create', table: 'network', object: ingressNetwork(newId(random)) }];
}
