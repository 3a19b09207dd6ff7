/** What may happen to nodes by request. */
import { SwarmError } from '#common/errors.ts';
import type { RemoveNodeRequest, UpdateNodeRequest } from '#gen/swarm/v1/control.ts';
import { type Node, NodeState, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import type { Decision } from './decision.ts';
import { checkRoleChange, type ManagerMember } from './node-roles.ts';
import { findNode } from './references.ts';
import { validateLabels } from './validate-labels.ts';

/** A removed node's certificate is refused for as long as it can be valid: 90 days, and a week for clocks. */
const REMOVED_NODE_KEPT_MS = 97 * 24 * 60 * 60 * 1000;

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
  const node = { ...current, spec: request.spec };
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
  if (node.role === NodeRole.MANAGER || members.some(({ nodeId }) => nodeId === node.id))
    throw new SwarmError({
      code: 'precondition',
      reason: 'in-use',
      message: `node ${node.id} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal`,
      hint: 'demote it first: `swarm node demote`; to end the whole swarm: swarm leave --force',
    });
  if (!request.force && node.status?.state === NodeState.READY)
    throw new SwarmError({
      code: 'precondition',
      reason: 'needs-force',
      message: `node ${node.id} is not down and can't be removed`,
      hint: 'run `swarm leave` on it, or add --force',
    });
  const changes: Change[] = [{ kind: 'remove', table: 'node', object: node }];
  for (const task of view.tasksOfNode(node.id)) {
    const orphan = orphaned(task, nowMs);
    if (orphan !== undefined) changes.push({ kind: 'update', table: 'task', object: orphan });
  }
  const cluster = view.cluster();
  if (cluster !== undefined) {
    const removedNodes = cluster.removedNodes.filter((removed) => removed.expiresAtMs > nowMs);
    removedNodes.push({ nodeId: node.id, removedAtMs: nowMs, expiresAtMs: nowMs + REMOVED_NODE_KEPT_MS });
    changes.push({ kind: 'update', table: 'cluster', object: { ...cluster, removedNodes } });
  }
  return { result: node, changes };
}

/** Nobody will ever report on it again. */
function orphaned(task: Task, nowMs: number): Task | undefined {
  const status = task.status;
  if (status === undefined || status.state >= TaskState.COMPLETE) return undefined;
  return {
    ...task,
    status: {
      ...status,
      state: TaskState.ORPHANED,
      timestampMs: nowMs,
      message: 'node removed',
      error: 'its node was removed',
    },
  };
}
