/** How a container learns which generic resources its task was given: Docker's variables. */
import type { GenericResource } from '#gen/swarm/v1/specs.ts';

const PREFIX = 'DOCKER_RESOURCE_';

/** `DOCKER_RESOURCE_GPU=UUID1,UUID2` of those that have names, `DOCKER_RESOURCE_SSD=2` of the others. */
export function genericEnv(assigned: readonly GenericResource[]): readonly string[] {
  const values = new Map<string, string[]>();
  for (const { kind, value } of assigned) {
    const name = PREFIX + kind.toUpperCase();
    values.set(name, [...(values.get(name) ?? []), String(value?.value ?? '')]);
  }
  return [...values].map(([name, list]) => `${name}=${list.join(',')}`);
}
