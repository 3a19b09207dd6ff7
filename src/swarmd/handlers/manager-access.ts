import { SwarmError } from '#common/errors.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import type { ManagerRole } from '../manager-role.ts';

/** The manager of this node, which comes and goes with its role while the servers stay. */
export type ManagerAccess = () => ManagerRole;

export function notAManager(inSwarm: boolean): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'not-a-manager',
    message: inSwarm
      ? "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager."
      : 'This node is not a swarm manager. Use "swarm init" or "swarm join" to connect this node to swarm and try again.',
  });
}

/** Who asks, for revisions and the log: a node's id, or the local socket. */
export function authorOf(context: CallContext): string {
  return context.caller.kind === 'node' ? context.caller.nodeId : context.caller.kind;
}
