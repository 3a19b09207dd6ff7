import { SwarmError } from '#common/errors.ts';
import { MembershipService } from '#gen/swarm/v1/raft.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import { createClient } from '#proto/grpc/client.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { admitToLog, releaseFromLog } from '../log-admission.ts';
import type { ManagerAccess } from './manager-access.ts';

/** Who is a member of the log: decided by the leader. */
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
        local: () => releaseFromLog(role, callerNode(context)),
        remote: (transport, options) => createClient(MembershipService, transport).leaveLog(request, options),
      });
    },
    leaveCluster: async (_request, context) => {
      throw new SwarmError({
        code: 'unimplemented',
        reason: 'not-supported',
        message: `node ${callerNode(context)} is removed by an operator`,
        hint: 'run `swarm node rm` on a manager',
      });
    },
  };
}

function callerNode(context: CallContext): string {
  if (context.caller.kind === 'node') return context.caller.nodeId;
  throw new SwarmError({
    code: 'denied',
    reason: 'wrong-role',
    message: 'the log is joined and left by managers, which show their certificates',
  });
}
