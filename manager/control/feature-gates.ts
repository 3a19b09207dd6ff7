/**
 * What may be declared only once every manager understands it. The cluster's feature level is raised when the last
 * manager of the older release is gone; until then an older leader would take no notice of what is in this table.
 */
import { SwarmError } from '#common/errors.ts';
import { type ClusterSpec, type ServiceSpec, UpdateOrder } from '#gen/swarm/v1/specs.ts';
import { NETWORKS_LEVEL, publishesByIngress } from '#manager/allocator/index.ts';
import { isJob } from '#manager/orchestrator/index.ts';
import { IDENTITY_LEVEL, isPlainConstraint, needAbove, SERVICES_LEVEL } from '#manager/scheduler/index.ts';
import type { StoreView } from '#manager/store/index.ts';

interface FeatureGate<Spec> {
  /** As the user knows it. */
  readonly field: string;
  /** Feature level that the cluster must have. */
  readonly level: number;
  readonly uses: (spec: Spec) => boolean;
}

const CLUSTER_GATES: readonly FeatureGate<ClusterSpec>[] = [
  { field: 'external-ca', level: IDENTITY_LEVEL, uses: ({ ca }) => (ca?.externalCas.length ?? 0) > 0 },
  {
    field: 'node-prune-after',
    level: IDENTITY_LEVEL,
    uses: ({ nodes }) => nodes?.pruneDownAfterMs !== undefined,
  },
  { field: 'manager-cleanup', level: IDENTITY_LEVEL, uses: ({ nodes }) => nodes !== undefined },
  { field: 'max-snapshots', level: 2, uses: ({ log }) => log?.snapshotsKept !== undefined },
  { field: 'snapshot-save-interval', level: 2, uses: ({ log }) => log?.saveIntervalMs !== undefined },
  { field: 'snapshot-save-keep', level: 2, uses: ({ log }) => log?.savesKept !== undefined },
  { field: 'encrypt-data-path', level: 3, uses: ({ network }) => network?.encryptDataPath === true },
  { field: 'autolock', level: IDENTITY_LEVEL, uses: ({ encryption }) => encryption?.autoLockManagers === true },
  { field: 'policy', level: SERVICES_LEVEL, uses: ({ policy }) => policy !== undefined },
  { field: 'replace-after', level: IDENTITY_LEVEL, uses: ({ dispatcher }) => dispatcher?.replaceAfterMs !== undefined },
  { field: 'withdraw-deadline', level: 3, uses: ({ network }) => network?.withdrawDeadlineMs !== undefined },
];

const SERVICE_GATES: readonly FeatureGate<ServiceSpec>[] = [
  { field: 'network', level: 3, uses: ({ task }) => (task?.networks.length ?? 0) > 0 },
  { field: 'publish', level: 3, uses: publishesByIngress },
  { field: 'drain', level: 3, uses: ({ endpoint }) => endpoint?.drainMs !== undefined },
  {
    field: 'constraint',
    level: SERVICES_LEVEL,
    uses: ({ task }) => task?.placement?.constraints.every(isPlainConstraint) === false,
  },
  { field: 'mode', level: SERVICES_LEVEL, uses: isJob },
  { field: 'affinity', level: SERVICES_LEVEL, uses: ({ task }) => (task?.placement?.affinities.length ?? 0) > 0 },
  { field: 'priority', level: SERVICES_LEVEL, uses: ({ task }) => (task?.placement?.priority ?? 0) !== 0 },
  { field: 'mount volume-sticky', level: SERVICES_LEVEL, uses: choosesStickiness },
  { field: 'preempt', level: SERVICES_LEVEL, uses: ({ task }) => task?.placement?.preempts === true },
  {
    field: 'generic-resource',
    level: SERVICES_LEVEL,
    uses: ({ task }) => (task?.resources?.reservations?.generic.length ?? 0) > 0,
  },
  { field: 'depends-on', level: SERVICES_LEVEL, uses: ({ dependsOn }) => dependsOn.length > 0 },
  { field: 'update-order', level: SERVICES_LEVEL, uses: ({ update }) => update?.order === UpdateOrder.AUTO },
  { field: 'rollback-order', level: SERVICES_LEVEL, uses: ({ rollback }) => rollback?.order === UpdateOrder.AUTO },
  { field: 'update-canaries', level: SERVICES_LEVEL, uses: ({ update }) => (update?.canaries ?? 0) > 0 },
  {
    field: 'update-progress-deadline',
    level: SERVICES_LEVEL,
    uses: ({ update }) => update?.progressDeadlineMs !== undefined,
  },
  {
    field: 'rollback-progress-deadline',
    level: SERVICES_LEVEL,
    uses: ({ rollback }) => rollback?.progressDeadlineMs !== undefined,
  },
];

function choosesStickiness({ task }: ServiceSpec): boolean {
  return task?.container?.mounts.some(({ volume }) => (volume?.sticky ?? 0) !== 0) === true;
}

/** @throws SwarmError `feature-level` for the first setting that the cluster's level does not allow yet */
export function checkClusterFeatures(featureLevel: number, spec: ClusterSpec): void {
  check(CLUSTER_GATES, featureLevel, spec);
}

/** @throws SwarmError `feature-level` for the first setting that the cluster's level does not allow yet */
export function checkServiceFeatures(view: StoreView, spec: ServiceSpec): void {
  const level = levelOf(view);
  check(SERVICE_GATES, level, spec);
  // What an agent has to understand, a leader has to understand too.
  const need = spec.task === undefined ? undefined : needAbove(level, spec.task);
  if (need !== undefined) throw tooLow(need.field, need.level, level);
}

/** @throws SwarmError `feature-level` while the cluster can have no networks */
export function requireNetworks(view: StoreView, field: string): void {
  if (levelOf(view) < NETWORKS_LEVEL) throw tooLow(field, NETWORKS_LEVEL, levelOf(view));
}

/** @throws SwarmError `feature-level` while the cluster can have no secrets, configs, volumes, stacks and the like */
export function requireServices(view: StoreView, field: string): void {
  if (levelOf(view) < SERVICES_LEVEL) throw tooLow(field, SERVICES_LEVEL, levelOf(view));
}

/** @throws SwarmError `feature-level` while the cluster can have no clients, events and what else is about identity */
export function requireIdentity(view: StoreView, field: string): void {
  if (levelOf(view) < IDENTITY_LEVEL) throw tooLow(field, IDENTITY_LEVEL, levelOf(view));
}

function levelOf(view: StoreView): number {
  return view.cluster()?.featureLevel ?? 0;
}

function check<Spec>(gates: readonly FeatureGate<Spec>[], featureLevel: number, spec: Spec): void {
  const gate = gates.find(({ level, uses }) => level > featureLevel && uses(spec));
  if (gate !== undefined) throw tooLow(gate.field, gate.level, featureLevel);
}

function tooLow(field: string, level: number, featureLevel: number): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'feature-level',
    field,
    message: `${field}: needs feature level ${level}, and the swarm is at ${featureLevel}: one of its managers runs an older release`,
    hint: 'upgrade all managers (`swarm node ls` shows their versions), then repeat the command',
  });
}
