/**
 * What the leader does next to bring the roles that nodes should have together with the members that the log has.
 * Pure. Every step leaves a state from which the next decision goes on, so a leader that dies in between is no matter:
 *
 *   promotion   desired manager, role worker:  role = manager; the node renews its certificate and joins the log itself
 *   demotion    desired worker, role manager:  [leader: hand over] -> remove from the log -> role = worker
 */
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import type { RoleFacts, RoleMember } from './role-facts.ts';

export type RoleStep =
  | { readonly kind: 'set-role'; readonly nodeId: string; readonly role: NodeRole }
  | { readonly kind: 'remove-member'; readonly raftId: number; readonly nodeId: string; readonly why: string }
  /** This manager leads and has to go: the next leader goes on. */
  | { readonly kind: 'hand-over'; readonly nodeId: string };

export interface RoleDecision {
  readonly steps: readonly RoleStep[];
  /** Why a node keeps a role that it should not have, by node id. */
  readonly waiting: ReadonlyMap<string, string>;
}

export function decideRoles({ nodes, members }: RoleFacts): RoleDecision {
  const steps: RoleStep[] = [];
  const waiting = new Map<string, string>();
  const known = new Map(nodes.map((node) => [node.id, node]));
  const memberOf = new Map(members.map((member) => [member.nodeId, member]));

  for (const node of nodes) {
    const desired = node.spec?.desiredRole;
    const member = memberOf.get(node.id);
    // A member that is still there from an earlier time is removed first: its node has no log any more.
    if (desired === NodeRole.MANAGER && node.role === NodeRole.WORKER && member === undefined)
      steps.push({ kind: 'set-role', nodeId: node.id, role: NodeRole.MANAGER });
    if (desired === NodeRole.WORKER && node.role === NodeRole.MANAGER && member === undefined)
      steps.push({ kind: 'set-role', nodeId: node.id, role: NodeRole.WORKER });
  }
  for (const member of members) {
    const node = known.get(member.nodeId);
    const why = reasonToGo(node?.role, node?.spec?.desiredRole);
    if (why === undefined) continue;
    const problem = member.self ? handOverProblem(members) : removalProblem(members, member);
    if (problem !== undefined) waiting.set(member.nodeId, problem);
    else if (member.self) steps.push({ kind: 'hand-over', nodeId: member.nodeId });
    else steps.push({ kind: 'remove-member', raftId: member.raftId, nodeId: member.nodeId, why });
  }
  return { steps, waiting };
}

/** Why a member with a node of these roles must leave the log; undefined when it stays. */
function reasonToGo(role: NodeRole | undefined, desired: NodeRole | undefined): string | undefined {
  if (role === undefined) return 'its node was removed';
  if (role === NodeRole.WORKER) return 'its node is a worker';
  return desired === NodeRole.WORKER ? 'it is demoted' : undefined;
}

function handOverProblem(members: readonly RoleMember[]): string | undefined {
  const others = members.filter((member) => member.voter && !member.self);
  if (others.length === 0) return 'it is the last manager of the swarm';
  if (others.some((member) => member.reachable)) return undefined;
  return 'it leads, and no other manager can be reached to take over';
}

/**
 * Why the member cannot be removed now: those that stay and can be reached would be no quorum of those that stay. Undefined
 * when it can.
 */
export function removalProblem(members: readonly RoleMember[], leaving: RoleMember): string | undefined {
  if (!leaving.voter) return undefined;
  const staying = members.filter((member) => member.voter && member.raftId !== leaving.raftId);
  if (staying.length === 0) return 'it is the last manager of the swarm';
  const reachable = staying.filter((member) => member.reachable || member.self).length;
  const quorum = Math.floor(staying.length / 2) + 1;
  if (reachable >= quorum) return undefined;
  return `of the ${staying.length} managers that would stay, ${reachable} can be reached and ${quorum} are needed`;
}
