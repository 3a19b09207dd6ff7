import type { Affinity } from '#gen/swarm/v1/specs.ts';

/** A rule of a service about being near another one, or apart. */
export interface AffinityRule {
  readonly serviceId: string;
  readonly anti: boolean;
  /** Key of the label whose value makes two nodes near; empty for the node itself. */
  readonly topology: string;
  /** 0: it has to hold. */
  readonly weight: number;
}

export function affinityRules(affinities: readonly Affinity[]): readonly AffinityRule[] {
  return affinities.map(({ service, anti, topology, weight }) => ({ serviceId: service, anti, topology, weight }));
}
