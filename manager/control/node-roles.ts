/** What a node is in the log, and whether its role may change. The change itself is the role reconciler's work. */
import { SwarmError } from '#common/errors.ts';
import { ManagerStatus, type Node } from '#gen/swarm/v1/objects.ts';
import { isNodeRole, NodeRole } from '#gen/swarm/v1/specs.ts';
import type { StoreView } from '#manager/store/index.ts';

/** A member of the log, as this manager sees it at the moment. */
export interface ManagerMember {
  readonly nodeId: string;
  /** host:port */
  readonly address: string;
  readonly voter: boolean;
  readonly leader: boolean;
  readonly reachable: boolean;
}

/** The node as it is shown: with its place in the log, and without one that is only remembered. */
export function withManagerStatus(node: Node, members: readonly ManagerMember[]): Node {
  const member = members.find(({ nodeId }) => nodeId === node.id);
  if (member === undefined) return node.managerStatus === undefined ? node : { ...node, managerStatus: undefined };
  const { leader, reachable, address, voter } = member;
  return { ...node, managerStatus: ManagerStatus.create({ leader, reachable, address, learner: !voter }) };
}

/**
 * Refuses a role that the node must not take. A node that is down may be promoted: it becomes a manager when it is back.
 * @throws SwarmError `bad-field`; `precondition` for the last manager; `feature-level` for an older release; `no-quorum`
 *   when those that stay would be none
 */
export function checkRoleChange(
  view: StoreView,
  node: Node,
  desired: NodeRole,
  members: readonly ManagerMember[],
): void {
  if (desired === NodeRole.UNSPECIFIED || !isNodeRole(desired))
    throw new SwarmError({
      code: 'invalid',
      reason: 'bad-field',
      field: 'role',
      message: `role: must be worker or manager`,
      hint: 'use `swarm node promote` or `swarm node demote`',
    });
  if (desired === NodeRole.MANAGER) {
    checkRelease(view, node);
    return;
  }
  const staysManager = (other: Node): boolean => other.id !== node.id && other.spec?.desiredRole === NodeRole.MANAGER;
  const others = [...view.all('node')].filter(staysManager);
  if (!others.some(({ role }) => role === NodeRole.MANAGER))
    throw new SwarmError({
      code: 'precondition',
      reason: 'in-use',
      message: 'attempting to demote the last manager of the swarm',
      hint: 'promote another node first (`swarm node promote`); to end the whole swarm: swarm leave --force',
    });
  checkQuorumWithout(view, node, new Set(others.map(({ id }) => id)), members);
}

/** The log would not take it in: what the others may write it would lose. */
function checkRelease(view: StoreView, node: Node): void {
  const needed = view.cluster()?.featureLevel ?? 0;
  const has = node.description?.featureLevel ?? 0;
  if (has === 0 || has >= needed) return;
  throw new SwarmError({
    code: 'precondition',
    reason: 'feature-level',
    message: `node ${node.id} cannot be promoted: the swarm is at feature level ${needed}, and its release understands ${has}`,
    hint: 'install the release of the managers on it (`swarm node ls` shows theirs), then promote it',
  });
}

/** Those whose demotion is under way are not counted on: they go too. */
function checkQuorumWithout(
  view: StoreView,
  node: Node,
  stayingIds: ReadonlySet<string>,
  members: readonly ManagerMember[],
): void {
  const isVoter = members.some(({ nodeId, voter }) => voter && nodeId === node.id);
  if (!isVoter) return;
  const staying = members.filter(({ nodeId, voter }) => voter && stayingIds.has(nodeId));
  const unreachable = staying.filter(({ reachable }) => !reachable);
  const quorum = Math.floor(staying.length / 2) + 1;
  if (staying.length - unreachable.length >= quorum) return;
  const names = unreachable.map(({ nodeId }) => view.get('node', nodeId)?.description?.hostname || nodeId);
  throw new SwarmError({
    code: 'precondition',
    reason: 'no-quorum',
    message:
      names.length === 0
        ? `node ${node.id} cannot be demoted: no other manager has caught up with the log yet`
        : `node ${node.id} cannot be demoted: the swarm would lose its quorum, since of the ${staying.length} managers that stay ${names.join(', ')} cannot be reached`,
    hint:
      names.length === 0
        ? 'try again in a moment: `swarm node ls` shows who is a learner'
        : 'bring them back, or demote them first (`swarm node demote`)',
  });
}
