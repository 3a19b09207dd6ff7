/** Flags about nodes that do not come back. None of them is Docker's: there they stay until somebody removes them. */
import { type ClusterSpec, NodeConfig } from '#gen/swarm/v1/specs.ts';
import { type AnyFlag, boolFlag, type FlagValues, valueFlag } from '../../flags.ts';
import { durationMs } from '../../values/scalars.ts';

const NODE_PRUNE_AFTER = valueFlag({
  name: 'node-prune-after',
  type: 'duration',
  usage: 'Remove workers that have been down for longer, 0s for never (ns|us|ms|s|m|h)',
  parse: durationMs,
});
const MANAGER_CLEANUP = boolFlag({
  name: 'manager-cleanup',
  usage: 'Demote and remove dead managers where the others keep their quorum',
});
const MANAGER_DEAD_AFTER = valueFlag({
  name: 'manager-dead-after',
  type: 'duration',
  usage: 'How long a manager cannot be reached until it counts as dead (ns|us|ms|s|m|h)',
  shownDefault: '10m0s',
  parse: durationMs,
});
const MANAGER_STABILIZATION = valueFlag({
  name: 'manager-stabilization',
  type: 'duration',
  usage:
    'How long managers are stable before a new one has a vote (0.5s) and a dead one is removed (10s) (ns|us|ms|s|m|h)',
  parse: durationMs,
});

export const CLEANUP_FLAGS: readonly AnyFlag[] = [
  NODE_PRUNE_AFTER,
  MANAGER_CLEANUP,
  MANAGER_DEAD_AFTER,
  MANAGER_STABILIZATION,
];

/** Nothing where nothing was ever asked for: managers of older releases know no such settings. */
export function nodeConfigOf(flags: FlagValues, before: NodeConfig | undefined): Partial<Pick<ClusterSpec, 'nodes'>> {
  if (!flags.anyGiven(...CLEANUP_FLAGS)) return {};
  const nodes = before ?? NodeConfig.create();
  return {
    nodes: {
      pruneDownAfterMs: flags.value(NODE_PRUNE_AFTER) ?? nodes.pruneDownAfterMs,
      cleanupDeadManagers: flags.value(MANAGER_CLEANUP) ?? nodes.cleanupDeadManagers,
      deadManagerAfterMs: flags.value(MANAGER_DEAD_AFTER) ?? nodes.deadManagerAfterMs,
      stabilizationMs: flags.value(MANAGER_STABILIZATION) ?? nodes.stabilizationMs,
    },
  };
}
