import { ControlService } from '#gen/swarm/v1/control.ts';
import type { ControlApi, ControlCaller } from '#manager/control/index.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import { createClient } from '#proto/grpc/client.ts';
import type { CallOptions, Client, Handlers } from '#proto/grpc/methods.ts';
import { authorOf, caughtUp, type ServingAccess } from './manager-access.ts';

/** Writes are decided by the leader; reads are answered here, once this manager has caught up. */
export function controlHandlers(manager: ServingAccess): Handlers<typeof ControlService> {
  async function write<T>(
    context: CallContext,
    local: (api: ControlApi, caller: ControlCaller) => Promise<T>,
    remote: (client: Client<typeof ControlService>, options: CallOptions) => Promise<T>,
  ): Promise<T> {
    const { control, leaderCalls } = manager();
    return leaderCalls.unary(context, {
      local: () => local(control, callerOf(context)),
      remote: (transport, options) => remote(createClient(ControlService, transport), options),
    });
  }
  async function read<T>(
    context: CallContext,
    answer: (api: ControlApi, caller: ControlCaller) => Promise<T>,
  ): Promise<T> {
    const serving = manager();
    await caughtUp(serving, context);
    return answer(serving.control, callerOf(context));
  }
  async function* list<T>(
    context: CallContext,
    answer: (api: ControlApi, caller: ControlCaller) => AsyncIterable<T>,
  ): AsyncGenerator<T> {
    const serving = manager();
    await caughtUp(serving, context);
    yield* answer(serving.control, callerOf(context));
  }
  /** `self` is the node that was asked, wherever the answer comes from. */
  const named = <T extends { readonly reference: string }>(request: T): T =>
    request.reference === 'self' ? { ...request, reference: manager().nodeId } : request;

  return {
    getCluster: (_request, context) => read(context, (api, caller) => api.getCluster(caller)),
    updateCluster: (request, context) =>
      write(
        context,
        (api, caller) => api.updateCluster(caller, request),
        (leader, options) => leader.updateCluster(request, options),
      ),
    getNode: (request, context) => read(context, (api, caller) => api.getNode(caller, request)),
    listNodes: (request, context) => list(context, (api, caller) => api.listNodes(caller, request)),
    updateNode: (request, context) =>
      write(
        context,
        (api, caller) => api.updateNode(caller, request),
        (leader, options) => leader.updateNode(request, options),
      ),
    removeNode: async (request, context) => {
      const node = named(request);
      return write(
        context,
        (api, caller) => api.removeNode(caller, node),
        (leader, options) => leader.removeNode(node, options),
      );
    },
    createService: (request, context) =>
      write(
        context,
        (api, caller) => api.createService(caller, request),
        (leader, options) => leader.createService(request, options),
      ),
    getService: (request, context) => read(context, (api, caller) => api.getService(caller, request)),
    listServices: (request, context) => list(context, (api, caller) => api.listServices(caller, request)),
    updateService: (request, context) =>
      write(
        context,
        (api, caller) => api.updateService(caller, request),
        (leader, options) => leader.updateService(request, options),
      ),
    removeService: (request, context) =>
      write(
        context,
        (api, caller) => api.removeService(caller, request),
        (leader, options) => leader.removeService(request, options),
      ),
    listRevisions: (request, context) => list(context, (api, caller) => api.listRevisions(caller, request)),
    getTask: (request, context) => read(context, (api, caller) => api.getTask(caller, request)),
    listTasks: (request, context) => list(context, (api, caller) => api.listTasks(caller, request)),
  };
}

function callerOf(context: CallContext): ControlCaller {
  return { author: authorOf(context) };
}
