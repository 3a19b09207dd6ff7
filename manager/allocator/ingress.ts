import { Network } from '#gen/swarm/v1/objects.ts';
import { IpamSpec, NetworkSpec } from '#gen/swarm/v1/specs.ts';

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
