import type { ControlService } from '#gen/swarm/v1/control.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { authorOf, type ManagerAccess } from './manager-access.ts';

export function controlHandlers(manager: ManagerAccess): Handlers<typeof ControlService> {
  const caller = (context: CallContext): { readonly author: string } => ({ author: authorOf(context) });
  const api = () => manager().control;
  return {
    getCluster: (_request, context) => api().getCluster(caller(context)),
    updateCluster: async (request, context) => api().updateCluster(caller(context), request),
    getNode: async (request, context) => api().getNode(caller(context), request),
    listNodes: (request, context) => api().listNodes(caller(context), request),
    updateNode: async (request, context) => api().updateNode(caller(context), request),
    removeNode: async (request, context) => api().removeNode(caller(context), request),
    createService: async (request, context) => api().createService(caller(context), request),
    getService: async (request, context) => api().getService(caller(context), request),
    listServices: (request, context) => api().listServices(caller(context), request),
    updateService: async (request, context) => api().updateService(caller(context), request),
    removeService: async (request, context) => api().removeService(caller(context), request),
    listRevisions: (request, context) => api().listRevisions(caller(context), request),
    getTask: async (request, context) => api().getTask(caller(context), request),
    listTasks: (request, context) => api().listTasks(caller(context), request),
  };
}
