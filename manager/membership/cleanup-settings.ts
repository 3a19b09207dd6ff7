import type { Cluster } from '#gen/swarm/v1/objects.ts';
import type { CleanupConfig } from './config.ts';
import type { CleanupSettings } from './decide-cleanup.ts';

/** What the cluster's spec says, with the defaults for what it leaves open. */
export function cleanupSettings(cluster: Cluster | undefined, config: CleanupConfig): CleanupSettings {
  const nodes = cluster?.spec?.nodes;
  const pruneMs = nodes?.pruneDownAfterMs ?? 0;
  return {
    pruneDownAfterMs: pruneMs > 0 ? pruneMs : undefined,
    cleanupDeadManagers: nodes?.cleanupDeadManagers === true,
    deadManagerAfterMs: nodes?.deadManagerAfterMs ?? config.deadManagerAfterMs,
    stableMs: nodes?.stabilizationMs ?? config.cleanupStableMs,
    pruneSeenMs: config.pruneSeenMs,
  };
}

/** How long a new manager is to be reachable and caught up before it has a vote. */
export function voterStableMs(cluster: Cluster | undefined, config: CleanupConfig): number {
  return cluster?.spec?.nodes?.stabilizationMs ?? config.voterStableMs;
}
