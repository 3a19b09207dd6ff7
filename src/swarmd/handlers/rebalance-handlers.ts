/** Moving tasks to better places, at a manager: decided by the leader. */
import { RebalanceService } from '#gen/swarm/v1/rebalance.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { writesOf } from './control-calls.ts';
import type { ServingAccess } from './manager-access.ts';

const write = writesOf(RebalanceService);

export function rebalanceHandlers(manager: ServingAccess): Handlers<typeof RebalanceService> {
  return {
    rebalance: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.rebalancing.rebalance(by, request),
        remote: (leader, options) => leader.rebalance(request, options),
      }),
  };
}
