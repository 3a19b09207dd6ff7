import { SwarmError } from '#common/errors.ts';
import {
  type LogBrokerService,
  LogsService,
  type SubscribeLogsRequest,
  type SubscribeLogsResponse,
} from '#gen/swarm/v1/logs.ts';
import type { LogBroker } from '#manager/logbroker/index.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import { createClient } from '#proto/grpc/client.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { type FollowedLogsConfig, followLogs } from '../follow-logs.ts';
import type { ServingAccess } from './manager-access.ts';

/** For readers, at any manager. */
export function logsHandlers(manager: ServingAccess, config?: FollowedLogsConfig): Handlers<typeof LogsService> {
  return {
    subscribeLogs: (request, context) => {
      const { logBroker, leaderCalls } = manager();
      const readAtLeader = (current: SubscribeLogsRequest): AsyncIterable<SubscribeLogsResponse> =>
        leaderCalls.stream(context, {
          local: () => logBroker.subscribe(current, context.signal),
          remote: (transport, options) => createClient(LogsService, transport).subscribeLogs(current, options),
        });
      // Who has passed the call on goes on with it: its reader has what it had from there.
      if (request.options?.follow !== true || context.forwardedBy !== undefined) return readAtLeader(request);
      const hasEnded = (): boolean => context.signal.aborted || leaderCalls.closed;
      return followLogs({ read: readAtLeader, request, hasEnded, signal: context.signal, config });
    },
  };
}

/** For agents, at the manager that their session is with. */
export function logBrokerHandlers(manager: ServingAccess): Handlers<typeof LogBrokerService> {
  return {
    listenSubscriptions: (_request, context) => leadingBroker(manager).listen(nodeOf(context), context.signal),
    publishLogs: async (requests, context) => {
      await leadingBroker(manager).publish(nodeOf(context), requests);
      return {};
    },
  };
}

/** @throws SwarmError `not-leader` */
export function leadingBroker(manager: ServingAccess): LogBroker {
  const { logBroker, leaderCalls } = manager();
  if (leaderCalls.leading) return logBroker;
  throw new SwarmError({
    code: 'unavailable',
    reason: 'not-leader',
    message: 'this manager does not lead: logs are sent to the one that the session is with',
  });
}

function nodeOf(context: CallContext): string {
  if (context.caller.kind === 'node') return context.caller.nodeId;
  throw new SwarmError({ code: 'denied', reason: 'no-certificate', message: 'only nodes publish logs' });
}
