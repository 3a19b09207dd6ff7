/** How a node that is drained is left: in pace, or all at once as Docker does. */
import type { Cluster, Node } from '#gen/swarm/v1/objects.ts';
import { IDENTITY_LEVEL } from '#manager/scheduler/index.ts';
import { isDrained } from '../task-facts.ts';

/** Written on tasks that a drain moves. A task with it that is on a node which is drained no more stays, if it can. */
export const DRAIN_REASON = 'its node is drained';

/** Tasks of one node on their way at once; infinity: all of them, and nothing is waited for. */
export function drainParallelism(node: Node, defaultParallelism: number): number {
  const parallelism = node.spec?.drain?.parallelism ?? defaultParallelism;
  return parallelism === 0 ? Number.POSITIVE_INFINITY : parallelism;
}

/** Whether nodes are left in pace: managers of an earlier release would not know what to do with what is written then. */
export function drainsInPace(cluster: Cluster | undefined): boolean {
  return (cluster?.featureLevel ?? 0) >= IDENTITY_LEVEL;
}

/** Whether every task is to leave the node now. Otherwise those leave that are told to. */
export function leavesAtOnce(node: Node, cluster: Cluster | undefined): boolean {
  return isDrained(node) && (!drainsInPace(cluster) || node.spec?.drain?.parallelism === 0);
}
