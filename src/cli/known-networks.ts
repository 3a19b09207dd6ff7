/** The networks of the swarm, to show names and prefixes for ids, and to find what a flag names. */
import type { Network } from '#gen/swarm/v1/objects.ts';
import { predefinedNetwork } from '../docker-shape/predefined-networks.ts';
import type { SwarmApi } from './api.ts';

export async function networksById(api: SwarmApi): Promise<ReadonlyMap<string, Network>> {
  const networks = new Map<string, Network>();
  for await (const page of api.control.listNetworks({}))
    for (const network of page.networks) networks.set(network.id, network);
  return networks;
}

/** The network with that name or id. Throws the daemon's refusal when there is none. */
export async function findNetwork(api: SwarmApi, reference: string): Promise<Network> {
  const predefined = predefinedNetwork(reference);
  if (predefined !== undefined) return predefined;
  const { network } = await api.control.getNetwork({ reference });
  return network as Network;
}
