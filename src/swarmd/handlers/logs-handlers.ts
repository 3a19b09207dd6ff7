import { SwarmError } from '#common/errors.ts';
import type { LogBrokerService, LogsService } from '#gen/swarm/v1/logs.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import type { ManagerAccess } from './manager-access.ts';

export function logsHandlers(manager: ManagerAccess): Handlers<typeof LogsService> {
  return {
    subscribeLogs: (request, context) => manager().logBroker.subscribe(request, context.signal),
  };
}

export function logBrokerHandlers(manager: ManagerAccess): Handlers<typeof LogBrokerService> {
  return {
    listenSubscriptions: (_request, context) => manager().logBroker.listen(nodeOf(context), context.signal),
    publishLogs: async (requests, context) => {
      await manager().logBroker.publish(nodeOf(context), requests);
      return {};
    },
  };
}

function nodeOf(context: CallContext): string {
  if (context.caller.kind === 'node') return context.caller.nodeId;
  throw new SwarmError({ code: 'denied', reason: 'no-certificate', message: 'only nodes publish logs' });
}
