/**
 * What may be declared only once every manager understands it. The cluster's feature level is raised when the last
 * manager of the older release is gone; until then an older leader would take no notice of what is in this table.
 */
import { SwarmError } from '#common/errors.ts';
import type { ClusterSpec } from '#gen/swarm/v1/specs.ts';

interface FeatureGate<Spec> {
  /** As the user knows it. */
  readonly field: string;
  /** Feature level that the cluster must have. */
  readonly level: number;
  readonly uses: (spec: Spec) => boolean;
}

const CLUSTER_GATES: readonly FeatureGate<ClusterSpec>[] = [
  { field: 'max-snapshots', level: 2, uses: ({ log }) => log?.snapshotsKept !== undefined },
  { field: 'snapshot-save-interval', level: 2, uses: ({ log }) => log?.saveIntervalMs !== undefined },
  { field: 'snapshot-save-keep', level: 2, uses: ({ log }) => log?.savesKept !== undefined },
];

/** @throws SwarmError `feature-level` for the first setting that the cluster's level does not allow yet */
export function checkClusterFeatures(featureLevel: number, spec: ClusterSpec): void {
  const gate = CLUSTER_GATES.find(({ level, uses }) => level > featureLevel && uses(spec));
  if (gate === undefined) return;
  throw new SwarmError({
    code: 'precondition',
    reason: 'feature-level',
    field: gate.field,
    message: `${gate.field}: needs feature level ${gate.level}, and the swarm is at ${featureLevel}: one of its managers runs an older release`,
    hint: 'upgrade all managers (`swarm node ls` shows their versions), then repeat the command',
  });
}
