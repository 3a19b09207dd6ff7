/**
 * Which node that does not come back the leader cleans up next. Pure. Every step leaves a state from which the next
 * decision goes on, by this leader or another:
 *
 *   worker, down for too long -> removed
 *   manager, dead             -> to be a worker, marked -(role reconciler)-> worker, marked -> removed
 *                                marked, and heard of again -> a manager, as it was
 *
 * An entry goes when this leader has missed the node for a while, whoever has begun it, and nothing runs there any more
 * that must not run twice.
 */
import { type Node, NodeState } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { type RoleMember, removalProblem } from '#manager/roles/index.ts';

export interface CleanupSettings {
  /** Workers that are down for longer go; undefined: never. */
  readonly pruneDownAfterMs: number | undefined;
  readonly cleanupDeadManagers: boolean;
  readonly deadManagerAfterMs: number;
  /** Nothing has changed among the managers for so long before one of them is cleaned up. */
  readonly stableMs: number;
  /** See CleanupConfig.pruneSeenMs. */
  readonly pruneSeenMs: number;
}

/** What this leader has seen by itself, on its own clock that never jumps. */
export interface Seen {
  /** Since when each node was away, by node id. */
  readonly awaySinceMs: ReadonlyMap<string, number>;
  /** Since when each manager could not be reached, by node id. */
  readonly unreachableSinceMs: ReadonlyMap<string, number>;
  /** When a manager came, went, or became (un)reachable last, or this one began to lead. */
  readonly steadySinceMs: number;
  readonly nowMs: number;
}

export interface CleanupFacts {
  readonly nodes: Iterable<Node>;
  readonly members: readonly RoleMember[];
  readonly settings: CleanupSettings;
  readonly seen: Seen;
  /** Whether the node, which is away, may run something yet that must not run twice: it is replaced when the entry goes. */
  mayStillRun(node: Node): boolean;
  /** Wall clock, as it stands in the nodes' statuses. */
  readonly nowMs: number;
}

export type CleanupStep =
  | { readonly kind: 'prune'; readonly node: Node }
  | { readonly kind: 'demote'; readonly node: Node }
  | { readonly kind: 'remove'; readonly node: Node }
  | { readonly kind: 'spare'; readonly node: Node };

/** Undefined when there is nothing to do at the moment. */
export function decideCleanup(facts: CleanupFacts): CleanupStep | undefined {
  const nodes = [...facts.nodes];
  const marked = nodes.filter(({ cleanedUp }) => cleanedUp);
  for (const node of marked) {
    if (isSpared(node, facts)) return { kind: 'spare', node };
    if (isOutOfLog(node, facts) && isMissed(node, facts.settings.deadManagerAfterMs, facts) && !facts.mayStillRun(node))
      return { kind: 'remove', node };
  }
  // One at a time; whose entry alone is left counts for no quorum.
  const isUnderWay = marked.some((node) => !isOutOfLog(node, facts));
  const dead = isUnderWay ? undefined : nodes.find((node) => isDeadManager(node, facts));
  if (dead !== undefined) return { kind: 'demote', node: dead };
  const lost = nodes.find((node) => isLostWorker(node, facts));
  return lost === undefined ? undefined : { kind: 'prune', node: lost };
}

/** It was heard of, or somebody wants it to be a manager. */
function isSpared(node: Node, { members }: CleanupFacts): boolean {
  const isReachable = members.some(({ nodeId, reachable }) => nodeId === node.id && reachable);
  return isReachable || node.status?.state === NodeState.READY || node.spec?.desiredRole === NodeRole.MANAGER;
}

function isDeadManager(node: Node, { members, settings, seen }: CleanupFacts): boolean {
  if (!settings.cleanupDeadManagers || node.spec?.desiredRole !== NodeRole.MANAGER) return false;
  // Its agent is heard of by another way: it is cut off from managers, not dead.
  if (node.status?.state !== NodeState.DOWN) return false;
  const member = members.find(({ nodeId }) => nodeId === node.id);
  if (member === undefined || member.self || member.reachable) return false;
  const sinceMs = seen.unreachableSinceMs.get(node.id);
  if (sinceMs === undefined || sinceMs + settings.deadManagerAfterMs > seen.nowMs) return false;
  if (seen.steadySinceMs + settings.stableMs > seen.nowMs) return false;
  return removalProblem(members, member) === undefined;
}

function isLostWorker(node: Node, facts: CleanupFacts): boolean {
  const { pruneDownAfterMs: afterMs } = facts.settings;
  if (afterMs === undefined || !isAway(node) || node.cleanedUp) return false;
  if (node.spec?.desiredRole !== NodeRole.WORKER || !isOutOfLog(node, facts)) return false;
  const sinceMs = node.status?.sinceMs ?? 0;
  if (sinceMs === 0 || sinceMs + afterMs > facts.nowMs) return false;
  return isMissed(node, afterMs, facts) && !facts.mayStillRun(node);
}

/** This leader has missed it, too, whatever wall clocks and leaders of before say. `afterMs`: nobody wants it any longer. */
function isMissed(node: Node, afterMs: number, { settings, seen }: CleanupFacts): boolean {
  const sinceMs = isAway(node) ? seen.awaySinceMs.get(node.id) : undefined;
  return sinceMs !== undefined && sinceMs + Math.min(afterMs, settings.pruneSeenMs) <= seen.nowMs;
}

/** Down, or admitted and never heard of. */
export function isAway({ status, description }: Node): boolean {
  return status?.state === NodeState.DOWN || (status?.state === NodeState.UNKNOWN && description?.engine === undefined);
}

/** Nobody counts on it any more. */
function isOutOfLog(node: Node, { members }: CleanupFacts): boolean {
  return node.role === NodeRole.WORKER && !members.some(({ nodeId }) => nodeId === node.id);
}
