/** What a revision asks of a node, compiled once for all its tasks. */
import type { Node, Revision } from '#gen/swarm/v1/objects.ts';
import { PlacementStrategy, type Platform, type PortConfig } from '#gen/swarm/v1/specs.ts';
import { attachmentsOf, publishesByIngress } from '#manager/allocator/index.ts';
import { type NamedMount, namedMounts } from '#manager/volumes/index.ts';
import { type AffinityRule, affinityRules } from './affinity-rule.ts';
import { neededAgentLevel } from './agent-needs.ts';
import { type Constraint, compileConstraints } from './constraint.ts';
import { type EngineNeed, engineNeeds } from './engine-needs.ts';
import { type GenericNeed, genericNeeds } from './generic-resources.ts';
import { hostModePorts } from './host-ports.ts';
import { labelOf } from './node-attributes.ts';

export interface PlacementRequest {
  readonly serviceId: string;
  readonly serviceName: string;
  readonly revision: number;
  readonly cpuNanos: number;
  readonly memoryBytes: number;
  readonly generic: readonly GenericNeed[];
  readonly constraints: readonly Constraint[];
  readonly platforms: readonly Platform[];
  /** 0: without limit. */
  readonly maxReplicas: number;
  /** Host-mode ports; published port 0 leaves the choice to the scheduler. */
  readonly ports: readonly PortConfig[];
  /** Networks of the cluster that its tasks join, by id. */
  readonly networks: readonly string[];
  /** Its tasks are reached by published ports of the routing mesh. */
  readonly ingress: boolean;
  /** For each preference, the value of a node. */
  readonly preferences: readonly ((node: Node) => string)[];
  readonly affinities: readonly AffinityRule[];
  /** The rules that are only wished for. */
  readonly wishes: readonly AffinityRule[];
  /** Tasks of a higher one are placed first. */
  readonly priority: number;
  /** Its tasks take the place of tasks of a lower priority where there is no other. */
  readonly preempts: boolean;
  /** A task on every node: it comes with its node, and belongs to it. */
  readonly perNode: boolean;
  /** UNSPECIFIED: the cluster's. */
  readonly strategy: PlacementStrategy;
  /** Feature level that the agent must have; 0 when any will do. */
  readonly agentLevel: number;
  /** What its node's engine must have. */
  readonly engineNeeds: readonly EngineNeed[];
  /** Volumes with a name that its tasks mount: a slot returns to where it has one. */
  readonly volumes: readonly NamedMount[];
  /** What weighing a node costs, in evaluations. */
  readonly weighCost: number;
}

/** An expression at its worst takes about as long as this many other evaluations. */
const PATTERN_COST = 50;

export function compileRequest(revision: Revision): PlacementRequest {
  const task = revision.spec?.task;
  const placement = task?.placement;
  const constraints = compileConstraints(placement?.constraints ?? []);
  const affinities = affinityRules(placement?.affinities ?? []);
  return {
    serviceId: revision.serviceId,
    serviceName: revision.spec?.name ?? '',
    volumes: namedMounts(revision.spec),
    revision: revision.number,
    cpuNanos: task?.resources?.reservations?.cpuNanos ?? 0,
    memoryBytes: task?.resources?.reservations?.memoryBytes ?? 0,
    generic: genericNeeds(task?.resources?.reservations),
    constraints,
    platforms: placement?.platforms ?? [],
    maxReplicas: placement?.maxReplicas ?? 0,
    ports: hostModePorts(revision.spec?.endpoint?.ports ?? []),
    networks: attachmentsOf(revision.spec).map(({ network }) => network),
    ingress: publishesByIngress(revision.spec),
    preferences: (placement?.preferences ?? []).flatMap(({ spread }) => labelOf(spread) ?? []),
    affinities,
    wishes: affinities.filter(({ weight }) => weight > 0),
    priority: placement?.priority ?? 0,
    preempts: placement?.preempts ?? false,
    perNode: revision.spec?.mode?.kind === 'global' || revision.spec?.mode?.kind === 'globalJob',
    strategy: placement?.strategy ?? PlacementStrategy.UNSPECIFIED,
    agentLevel: task === undefined ? 0 : neededAgentLevel(task),
    engineNeeds: task === undefined ? [] : engineNeeds(task),
    weighCost: 1 + PATTERN_COST * constraints.filter(({ operator }) => operator === '=~' || operator === '!~').length,
  };
}
