import { ControlService } from '#gen/swarm/v1/control.ts';
import type { ControlApi, ControlCaller } from '#manager/control/index.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import { createClient } from '#proto/grpc/client.ts';
import type { CallOptions, Client, Handlers } from '#proto/grpc/methods.ts';
import { authorOf, caughtUp, type ServingAccess, type ServingManager } from './manager-access.ts';

type Remote = Client<typeof ControlService>;

/** Writes are decided by the leader; reads are answered here, once this manager has caught up. */
export function controlHandlers(manager: ServingAccess): Handlers<typeof ControlService> {
  return {
    getCluster: async (_request, context) => read(manager(), context, (api, by) => api.getCluster(by)),
    getNode: async (request, context) => read(manager(), context, (api, by) => api.getNode(by, request)),
    getService: async (request, context) => read(manager(), context, (api, by) => api.getService(by, request)),
    getTask: async (request, context) => read(manager(), context, (api, by) => api.getTask(by, request)),
    getNetwork: async (request, context) => read(manager(), context, (api, by) => api.getNetwork(by, request)),

    listNodes: (request, context) => list(manager(), context, (api, by) => api.listNodes(by, request)),
    listServices: (request, context) => list(manager(), context, (api, by) => api.listServices(by, request)),
    listRevisions: (request, context) => list(manager(), context, (api, by) => api.listRevisions(by, request)),
    listTasks: (request, context) => list(manager(), context, (api, by) => api.listTasks(by, request)),
    listNetworks: (request, context) => list(manager(), context, (api, by) => api.listNetworks(by, request)),

    updateCluster: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.updateCluster(by, request),
        remote: (leader, options) => leader.updateCluster(request, options),
      }),
    updateNode: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.updateNode(by, request),
        remote: (leader, options) => leader.updateNode(request, options),
      }),
    removeNode: async (request, context) => {
      const serving = manager();
      // `self` is the node that was asked, whoever decides.
      const node = request.reference === 'self' ? { ...request, reference: serving.nodeId } : request;
      return write(serving, context, {
        local: (api, by) => api.removeNode(by, node),
        remote: (leader, options) => leader.removeNode(node, options),
      });
    },
    createService: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.createService(by, request),
        remote: (leader, options) => leader.createService(request, options),
      }),
    updateService: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.updateService(by, request),
        remote: (leader, options) => leader.updateService(request, options),
      }),
    removeService: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.removeService(by, request),
        remote: (leader, options) => leader.removeService(request, options),
      }),
    createNetwork: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.createNetwork(by, request),
        remote: (leader, options) => leader.createNetwork(request, options),
      }),
    updateNetwork: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.updateNetwork(by, request),
        remote: (leader, options) => leader.updateNetwork(request, options),
      }),
    removeNetwork: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.removeNetwork(by, request),
        remote: (leader, options) => leader.removeNetwork(request, options),
      }),
  };
}

async function read<T>(
  serving: ServingManager,
  context: CallContext,
  answer: (api: ControlApi, by: ControlCaller) => Promise<T>,
): Promise<T> {
  await caughtUp(serving, context);
  return answer(serving.control, { author: authorOf(context) });
}

async function* list<T>(
  serving: ServingManager,
  context: CallContext,
  answer: (api: ControlApi, by: ControlCaller) => AsyncIterable<T>,
): AsyncGenerator<T> {
  await caughtUp(serving, context);
  yield* answer(serving.control, { author: authorOf(context) });
}

interface Write<T> {
  readonly local: (api: ControlApi, by: ControlCaller) => Promise<T>;
  readonly remote: (leader: Remote, options: CallOptions) => Promise<T>;
}

function write<T>({ control, leaderCalls }: ServingManager, context: CallContext, call: Write<T>): Promise<T> {
  return leaderCalls.unary(context, {
    local: () => call.local(control, { author: authorOf(context) }),
    remote: (transport, options) => call.remote(createClient(ControlService, transport), options),
  });
}
