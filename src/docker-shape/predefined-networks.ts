/** The networks that every node has by itself. They are not stored; services name them as they are named here. */
import { Network } from '#gen/swarm/v1/objects.ts';
import { NetworkSpec } from '#gen/swarm/v1/specs.ts';

function predefined(name: string, driver: string): Network {
  return Network.create({ id: name, spec: NetworkSpec.create({ name, driver }) });
}

export const PREDEFINED_NETWORKS: readonly Network[] = [
  predefined('bridge', 'bridge'),
  predefined('host', 'host'),
  predefined('none', 'null'),
];

/** The predefined network of that name. */
export function predefinedNetwork(reference: string): Network | undefined {
  return PREDEFINED_NETWORKS.find(({ id }) => id === reference);
}
