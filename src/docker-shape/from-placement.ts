/** What Docker's JSON says of generic resources, and what ours adds to it of rules between services. */
import { BOOL, INT, list, pointer, STRING, type StructData, struct, UINT } from '#common/template/go-types.ts';
import { type Affinity, type GenericResource, type Placement, PlacementStrategy } from '#gen/swarm/v1/specs.ts';

export const GENERIC_RESOURCES = list(
  struct('swarm.GenericResource', {
    'NamedResourceSpec?': pointer(struct('swarm.NamedGenericResource', { 'Kind?': STRING, 'Value?': STRING })),
    'DiscreteResourceSpec?': pointer(struct('swarm.DiscreteGenericResource', { 'Kind?': STRING, 'Value?': INT })),
  }),
);

/** Undefined where there are none, as Docker leaves it out. */
export function genericShape(resources: readonly GenericResource[] | undefined): readonly StructData[] | undefined {
  if (resources === undefined || resources.length === 0) return undefined;
  return resources.map(({ kind, value }) =>
    value?.kind === 'name'
      ? { NamedResourceSpec: { Kind: kind, Value: value.value } }
      : { DiscreteResourceSpec: { Kind: kind, Value: value?.value ?? 0 } },
  );
}

const RULE = struct('swarm.Affinity', { Service: STRING, 'Topology?': STRING, 'Weight?': UINT });

/** Docker has none of these. */
export const PLACEMENT_RULES = {
  '+Strategy?': STRING,
  '+Affinities?': list(RULE),
  '+AntiAffinities?': list(RULE),
  '+Priority?': INT,
  '+Preempts?': BOOL,
};

export const PLACEMENT_STRATEGIES: Readonly<Record<PlacementStrategy, string>> = {
  [PlacementStrategy.UNSPECIFIED]: '',
  [PlacementStrategy.SPREAD]: 'spread',
  [PlacementStrategy.BINPACK]: 'binpack',
};

export function placementRulesShape(placement: Placement | undefined): StructData {
  if (placement === undefined) return {};
  const rules = (anti: boolean): readonly StructData[] =>
    placement.affinities.filter((rule) => rule.anti === anti).map(ruleShape);
  return {
    Strategy: PLACEMENT_STRATEGIES[placement.strategy],
    Affinities: rules(false),
    AntiAffinities: rules(true),
    Priority: placement.priority,
    Preempts: placement.preempts,
  };
}

function ruleShape({ service, topology, weight }: Affinity): StructData {
  return { Service: service, Topology: topology, Weight: weight };
}
