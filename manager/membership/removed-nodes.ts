/** Nodes whose certificates are refused though they hold: those that were removed. */
import { LIMITS } from '#common/limits.ts';
import type { Cluster, RemovedNode } from '#gen/swarm/v1/objects.ts';

/** By the list itself, which is never changed: most writes of the cluster leave it as it is. */
const idsOf = new WeakMap<readonly RemovedNode[], ReadonlySet<string>>();

/** Made once for each list: every call of every node asks. */
export function removedNodeIds({ removedNodes }: Pick<Cluster, 'removedNodes'>): ReadonlySet<string> {
  const known = idsOf.get(removedNodes);
  if (known !== undefined) return known;
  const ids = new Set(removedNodes.map(({ nodeId }) => nodeId));
  idsOf.set(removedNodes, ids);
  return ids;
}

/**
 * The list with the node on it, once. Those whose time is over go; then, where there are more than `REMOVED_NODES`, those
 * that were removed first.
 */
export function withRemovedNode(cluster: Cluster, removed: RemovedNode, nowMs: number): Cluster {
  const kept = cluster.removedNodes.filter(
    ({ nodeId, expiresAtMs }) => expiresAtMs > nowMs && nodeId !== removed.nodeId,
  );
  const removedNodes = [...kept, removed].slice(-LIMITS.REMOVED_NODES);
  return { ...cluster, removedNodes };
}
