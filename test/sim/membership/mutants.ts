/** Bugs that the simulation of nodes must find: each is a plausible slip in a line of how they come and go. */
import type { Mutant } from '#raft-ts/sim/mutate.ts';

const ROLES = 'manager/roles/decide-roles.ts';
const NODE_ROLES = 'manager/control/node-roles.ts';
const READMISSION = 'manager/ca/readmission.ts';

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'removal-without-a-look-at-the-quorum',
    file: ROLES,
    find: 'if (reachable >= quorum) return undefined;',
    replace: 'if (reachable >= 0 * quorum) return undefined;',
  },
  {
    name: 'worker-that-is-still-a-member',
    file: ROLES,
    find: 'if (desired === NodeRole.WORKER && node.role === NodeRole.MANAGER && member === undefined)',
    replace: 'if (desired === NodeRole.WORKER && node.role === NodeRole.MANAGER)',
  },
  {
    name: 'counts-on-managers-that-are-to-go',
    file: NODE_ROLES,
    find: 'other.id !== node.id && other.spec?.desiredRole === NodeRole.MANAGER;',
    replace: 'other.id !== node.id && other.role === NodeRole.MANAGER;',
  },
  {
    name: 'member-of-the-log-is-removed',
    file: 'manager/control/nodes.ts',
    find: 'if (node.role !== NodeRole.MANAGER && !members.some(({ nodeId }) => nodeId === node.id)) return undefined;',
    replace: 'if (node.role !== NodeRole.MANAGER) return undefined;',
  },
  {
    name: 'former-manager-still-in-the-log',
    file: READMISSION,
    find: 'if (isMember(nodeId))',
    replace: "if (nodeId === '')",
  },
  {
    name: 'readmitted-and-still-refused',
    file: READMISSION,
    find: 'const removedNodes = cluster.removedNodes.filter(({ nodeId }) => nodeId !== fresh.id);',
    replace: 'const removedNodes = cluster.removedNodes;',
  },
  {
    name: 'old-entry-stays-with-a-new-identity',
    file: 'manager/ca/certificate-authority.ts',
    find: 'if (entry !== undefined) changes.push(',
    replace: 'if (entry === undefined) return { nodeId, changes };\n    if (entry.id === nodeId) changes.push(',
  },
  {
    name: 'dead-manager-is-demoted-and-stays',
    file: 'manager/membership/decide-cleanup.ts',
    find: "return { kind: 'remove', node };",
    replace: 'continue;',
  },
  {
    name: 'removed-by-a-leader-that-has-not-missed-it',
    file: 'manager/membership/decide-cleanup.ts',
    find: 'if (isOutOfLog(node, facts) && isMissed(node, facts.settings.deadManagerAfterMs, facts) && !facts.mayStillRun(node))',
    replace: 'if (isOutOfLog(node, facts) && !facts.mayStillRun(node))',
  },
];
