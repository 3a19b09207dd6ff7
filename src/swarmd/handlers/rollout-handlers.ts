/** Steering of updates at a manager: all of it is decided by the leader. */
import { RolloutService } from '#gen/swarm/v1/rollouts.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { writesOf } from './control-calls.ts';
import type { ServingAccess } from './manager-access.ts';

const write = writesOf(RolloutService);

export function rolloutHandlers(manager: ServingAccess): Handlers<typeof RolloutService> {
  return {
    pauseRollout: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.rollouts.pause(by, request),
        remote: (leader, options) => leader.pauseRollout(request, options),
      }),
    resumeRollout: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.rollouts.resume(by, request),
        remote: (leader, options) => leader.resumeRollout(request, options),
      }),
    abortRollout: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.rollouts.abort(by, request),
        remote: (leader, options) => leader.abortRollout(request, options),
      }),
    promoteRollout: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.rollouts.promote(by, request),
        remote: (leader, options) => leader.promoteRollout(request, options),
      }),
    rollbackService: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.rollouts.rollback(by, request),
        remote: (leader, options) => leader.rollbackService(request, options),
      }),
  };
}
