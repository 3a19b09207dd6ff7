/** Stacks at a manager: deployed and removed by the leader, read here. */
import { StackService } from '#gen/swarm/v1/stacks.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { list, read, writesOf } from './control-calls.ts';
import type { ServingAccess } from './manager-access.ts';

const write = writesOf(StackService);

export function stackHandlers(manager: ServingAccess): Handlers<typeof StackService> {
  return {
    deployStack: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.stacks.deployStack(by, request),
        remote: (leader, options) => leader.deployStack(request, options),
      }),
    getStack: async (request, context) => read(manager(), context, (api, by) => api.stacks.getStack(by, request)),
    listStacks: (request, context) => list(manager(), context, (api, by) => api.stacks.listStacks(by, request)),
    removeStack: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.stacks.removeStack(by, request),
        remote: (leader, options) => leader.removeStack(request, options),
      }),
  };
}
