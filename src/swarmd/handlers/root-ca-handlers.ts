/** The root of the cluster at a manager: rotations are begun by the leader, progress is told by everybody. */
import { RootCaService } from '#gen/swarm/v1/rootca.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { read, writesOf } from './control-calls.ts';
import type { ServingAccess } from './manager-access.ts';

const write = writesOf(RootCaService);

export function rootCaHandlers(manager: ServingAccess): Handlers<typeof RootCaService> {
  return {
    getRootCa: async (_request, context) => read(manager(), context, (api, by) => api.rootCa.get(by)),
    rotateRootCa: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.rootCa.rotate(by, request),
        remote: (leader, options) => leader.rotateRootCa(request, options),
      }),
    leaveNodesBehind: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.rootCa.leaveBehind(by, request),
        remote: (leader, options) => leader.leaveNodesBehind(request, options),
      }),
  };
}
