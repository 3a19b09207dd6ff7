import { ControlService } from '#gen/swarm/v1/control.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { list, read, writesOf } from './control-calls.ts';
import type { ServingAccess } from './manager-access.ts';

const write = writesOf(ControlService);

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
