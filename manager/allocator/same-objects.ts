/** Whether what is given out is what was given out before: then nothing is written. */
import { sameBytes } from '#common/same-bytes.ts';
import { Network, ServiceEndpoint } from '#gen/swarm/v1/objects.ts';

export function sameSubnets(a: Pick<Network, 'subnets'>, b: Pick<Network, 'subnets'>): boolean {
  if (a.subnets === b.subnets) return true;
  return sameBytes(
    Network.encode(Network.create({ subnets: a.subnets })),
    Network.encode(Network.create({ subnets: b.subnets })),
  );
}

export function sameEndpoint(a: ServiceEndpoint | undefined, b: ServiceEndpoint | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return sameBytes(ServiceEndpoint.encode(a), ServiceEndpoint.encode(b));
}
