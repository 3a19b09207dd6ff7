/** Runs of jobs at a manager: all of it is decided by the leader. */
import { JobService } from '#gen/swarm/v1/jobs.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { writesOf } from './control-calls.ts';
import type { ServingAccess } from './manager-access.ts';

const write = writesOf(JobService);

export function jobHandlers(manager: ServingAccess): Handlers<typeof JobService> {
  return {
    runJob: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.jobs.run(by, request),
        remote: (leader, options) => leader.runJob(request, options),
      }),
    stopJob: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.jobs.stop(by, request),
        remote: (leader, options) => leader.stopJob(request, options),
      }),
  };
}
