import { SwarmError } from '#common/errors.ts';
import { MembershipService } from '#gen/swarm/v1/raft.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import { createClient } from '#proto/grpc/client.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { admitToLog, releaseFromLog } from '../log-admission.ts';
import { authorOf, type ManagerAccess } from './manager-access.ts';

/** Who is a member of the log, and who leaves the swarm: decided by the leader. */
export function membershipHandlers(manager: ManagerAccess): Handlers<typeof MembershipService> {
  return {
    joinLog: (request, context) => {
      const role = manager();
      return role.leaderCalls.unary(context, {
        local: () => admitToLog(role, callerNode(context), request, context.peer),
        remote: (transport, options) => createClient(MembershipService, transport).joinLog(request, options),
      });
    },
    leaveLog: (request, context) => {
      const role = manager();
      return role.leaderCalls.unary(context, {
        local: () => releaseFromLog(role, callerNode(context), authorOf(context, role)),
        remote: (transport, options) => createClient(MembershipService, transport).leaveLog(request, options),
      });
    },
    leaveCluster: async (request, context) => {
      const role = manager();
      return role.leaderCalls.unary(context, {
        local: () =>
          role.control.leaveCluster({ author: authorOf(context, role) }, callerNode(context), request.reason),
        remote: (transport, options) => createClient(MembershipService, transport).leaveCluster(request, options),
      });
    },
  };
}

function callerNode(context: CallContext): string {
  if (context.caller.kind === 'node') return context.caller.nodeId;
  throw new SwarmError({
    code: 'denied',
    reason: 'wrong-role',
    message: 'the log and the swarm are joined and left by nodes, which show their certificates',
  });
}
