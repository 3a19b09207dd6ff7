/** Containers of `swarm run` at a manager: writes are decided by the leader, reads are answered here. */
import { SwarmError } from '#common/errors.ts';
import { ContainerService } from '#gen/swarm/v1/containers.ts';
import type { ControlApi, RunCaller } from '#manager/control/index.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import { createClient } from '#proto/grpc/client.ts';
import type { CallOptions, Client, Handlers } from '#proto/grpc/methods.ts';
import {
  type AuthoredCall,
  type AuthorSource,
  authorOf,
  caughtUp,
  type ServingAccess,
  type ServingManager,
} from './manager-access.ts';

export function containerHandlers(manager: ServingAccess): Handlers<typeof ContainerService> {
  return {
    getContainer: async (request, context) => {
      const serving = manager();
      await caughtUp(serving, context);
      return serving.control.getContainer(runCallerOf(context, serving), request);
    },
    async *listContainers(_request, context) {
      const serving = manager();
      await caughtUp(serving, context);
      yield* serving.control.listContainers(runCallerOf(context, serving));
    },
    runContainer: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.runContainer(by, request),
        remote: (leader, options) => leader.runContainer(request, options),
      }),
    stopContainer: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.stopContainer(by, request),
        remote: (leader, options) => leader.stopContainer(request, options),
      }),
    removeContainer: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.removeContainer(by, request),
        remote: (leader, options) => leader.removeContainer(request, options),
      }),
    followContainer: () => {
      throw new SwarmError({
        code: 'denied',
        reason: 'wrong-role',
        message: 'the output of a container is with its own node',
        hint: 'ask the daemon of that node, or a manager for the logs of the task',
      });
    },
  };
}

/**
 * For whom the call is made. New containers are on the node that the caller is: it is what its certificate says; who uses
 * the socket of a manager is that manager, also where it has passed the call on.
 */
export function runCallerOf(context: AuthoredCall, manager: AuthorSource): RunCaller {
  const { caller, forwardedBy } = context;
  const author = authorOf(context, manager);
  if (caller.kind === 'node') return { author, nodeId: caller.nodeId, seesAll: caller.role === 'manager' };
  return { author, nodeId: forwardedBy?.nodeId ?? manager.nodeId, seesAll: caller.kind === 'local' };
}

interface Write<T> {
  readonly local: (api: ControlApi, by: RunCaller) => Promise<T>;
  readonly remote: (leader: Client<typeof ContainerService>, options: CallOptions) => Promise<T>;
}

function write<T>(serving: ServingManager, context: CallContext, call: Write<T>): Promise<T> {
  return serving.leaderCalls.unary(context, {
    local: () => call.local(serving.control, runCallerOf(context, serving)),
    remote: (transport, options) => call.remote(createClient(ContainerService, transport), options),
  });
}
