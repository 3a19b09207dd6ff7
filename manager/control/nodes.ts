/** What may happen to nodes by request. */
import { formatDuration } from '#common/duration.ts';
import { SwarmError } from '#common/errors.ts';
import type { RemoveNodeRequest, UpdateNodeRequest } from '#gen/swarm/v1/control.ts';
import { type Node, NodeState } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { removalChanges } from '#manager/membership/index.ts';
import { type Overhang, overhang } from '#manager/orchestrator/index.ts';
import type { StoreView } from '#manager/store/index.ts';
import type { Decision } from './decision.ts';
import { withNodeSpec } from './node-drains.ts';
import { checkRoleChange, type ManagerMember } from './node-roles.ts';
import { findNode } from './references.ts';
import { taskName } from './tasks.ts';
import { validateLabels } from './validate-labels.ts';

export function updateNode(
  view: StoreView,
  request: UpdateNodeRequest,
  members: readonly ManagerMember[],
): Decision<Node> {
  const current = view.get('node', request.id);
  if (current === undefined || request.spec === undefined)
    throw new SwarmError({
      code: 'not-found',
      reason: 'unknown-object',
      message: `node ${request.id} not found`,
      hint: 'see `swarm node ls`',
    });
  if (current.version !== request.version) throw outOfSequence(current, request.version);
  const { desiredRole } = request.spec;
  if (desiredRole !== current.spec?.desiredRole) checkRoleChange(view, current, desiredRole, members);
  validateLabels('node labels', request.spec.labels);
  const node = withNodeSpec(view, current, request.spec);
  return { result: node, changes: [{ kind: 'update', table: 'node', object: node }] };
}

function outOfSequence(node: Node, version: number): SwarmError {
  return new SwarmError({
    code: 'conflict',
    reason: 'out-of-sequence',
    message: `update out of sequence: the node is at version ${node.version}, the request was made from ${version}`,
    hint: 'read it again and repeat the change',
  });
}

export function removeNode(
  view: StoreView,
  request: RemoveNodeRequest,
  self: string,
  nowMs: number,
  members: readonly ManagerMember[],
): Decision<Node> {
  const node = findNode(view, request.reference, self);
  const refusal = managerRefusal(node, members) ?? (request.force ? undefined : softRefusal(view, node, nowMs));
  if (refusal !== undefined) throw refusal;
  return { result: node, changes: removalChanges(view, node, nowMs) };
}

/**
 * A node leaves by itself: its tasks have ended. One that has gone already is no mistake, its answer was lost.
 * @throws SwarmError `in-use` for a manager, which has to leave the log first
 */
export function leaveCluster(
  view: StoreView,
  nodeId: string,
  nowMs: number,
  members: readonly ManagerMember[],
): Decision<undefined> {
  const node = view.get('node', nodeId);
  if (node === undefined) return { result: undefined, changes: [] };
  const refusal = managerRefusal(node, members);
  if (refusal !== undefined) throw refusal;
  return { result: undefined, changes: removalChanges(view, node, nowMs) };
}

/** Without it, others would count on a member of the log that nobody knows. */
function managerRefusal(node: Node, members: readonly ManagerMember[]): SwarmError | undefined {
  if (node.role !== NodeRole.MANAGER && !members.some(({ nodeId }) => nodeId === node.id)) return undefined;
  const isDemoted = node.spec?.desiredRole === NodeRole.WORKER;
  const why = node.status?.message ?? '';
  if (isDemoted)
    return new SwarmError({
      code: 'precondition',
      reason: 'in-use',
      message: `node ${node.id} is still a member of the raft cluster: its demotion is under way${why === '' ? '' : ` (${why})`}`,
      hint: 'try again when `swarm node ls` shows it without a manager status',
    });
  return new SwarmError({
    code: 'precondition',
    reason: 'in-use',
    message: `node ${node.id} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal`,
    hint: `demote it first: \`swarm node demote ${node.id}\`; to end the whole swarm: swarm leave --force`,
  });
}

/** What stands against a removal that does not have to be. */
function softRefusal(view: StoreView, node: Node, nowMs: number): SwarmError | undefined {
  return presenceRefusal(node) ?? overhangRefusal(view, node, nowMs);
}

/** What has to have stopped before anything takes its place would be replaced at once. */
function overhangRefusal(view: StoreView, node: Node, nowMs: number): SwarmError | undefined {
  const last = overhang(node, view);
  if (last === undefined) return undefined;
  const name = taskName(view, last.task);
  return new SwarmError({
    code: 'precondition',
    reason: 'needs-force',
    message: `node ${node.id} is down and may still run ${name}, which stops without managers (--stop-after-disconnect) and must not run twice: it has surely stopped in ${timeLeft(node, last, nowMs)}`,
    hint: 'try again then, run `swarm leave` on the node, or add --force if it is certain that the node does not run',
  });
}

/** By the wall clock, which only says so; that the time is over is decided by what leaders have measured. */
function timeLeft({ status }: Node, { fenceMs }: Overhang, nowMs: number): string {
  const heardMs = status?.lastHeardMs || status?.sinceMs || nowMs;
  const leftMs = Math.min(fenceMs - (status?.silentMs ?? 0), heardMs + fenceMs - nowMs);
  return formatDuration(Math.max(1, Math.ceil(leftMs / 1000)) * 1e9);
}

/** Why the node may be there and would be surprised; undefined for one that is away. */
function presenceRefusal(node: Node): SwarmError | undefined {
  const state = node.status?.state;
  if (state === NodeState.READY)
    return new SwarmError({
      code: 'precondition',
      reason: 'needs-force',
      message: `node ${node.id} is not down and can't be removed`,
      hint: 'run `swarm leave` on it, or add --force',
    });
  // Its agent has described it, so it was there before the leader changed.
  if (state === NodeState.UNKNOWN && node.description?.engine !== undefined)
    return new SwarmError({
      code: 'precondition',
      reason: 'needs-force',
      message: `node ${node.id} may be up: the leader is new and has not heard of it yet`,
      hint: 'try again in a few seconds, or add --force',
    });
  return undefined;
}
