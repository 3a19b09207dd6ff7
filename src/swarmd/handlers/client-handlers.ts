/** Clients from outside of the swarm at a manager: writes are decided by the leader, reads are answered here. */
import { ClientService } from '#gen/swarm/v1/clients.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { list, read, writesOf } from './control-calls.ts';
import type { ServingAccess } from './manager-access.ts';

const write = writesOf(ClientService);

export function clientHandlers(manager: ServingAccess): Handlers<typeof ClientService> {
  return {
    getClient: async (request, context) => read(manager(), context, (api, by) => api.clients.get(by, request)),
    listClients: (request, context) => list(manager(), context, (api, by) => api.clients.list(by, request)),
    createClient: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.clients.create(by, request),
        remote: (leader, options) => leader.createClient(request, options),
      }),
    revokeClient: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.clients.revoke(by, request),
        remote: (leader, options) => leader.revokeClient(request, options),
      }),
    renewClient: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.clients.renew(by, request),
        remote: (leader, options) => leader.renewClient(request, options),
      }),
  };
}
