/** What nodes have beside CPU and memory: so many of a kind that are all alike, or some that have names. */
import { GenericResource } from '#gen/swarm/v1/specs.ts';

/** How much of a kind a node has. */
export function genericAmount(resources: readonly GenericResource[], kind: string): number {
  let amount = 0;
  for (const resource of resources) if (resource.kind === kind) amount += amountOf(resource);
  return amount;
}

function amountOf({ value }: GenericResource): number {
  return value === undefined || value.kind === 'name' ? 1 : value.value;
}
