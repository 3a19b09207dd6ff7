import { CheckResponse, type HealthService, ServingState } from '#gen/swarm/v1/health.ts';
import type { Handlers } from '#proto/grpc/methods.ts';

export interface HealthSource {
  /** Undefined when all is well. */
  problem(part: string): string | undefined;
}

export function healthHandlers(source: HealthSource): Handlers<typeof HealthService> {
  return {
    check: async (request) => {
      const problem = source.problem(request.service);
      return Promise.resolve(
        CheckResponse.create({
          state: problem === undefined ? ServingState.SERVING : ServingState.NOT_SERVING,
          message: problem ?? '',
        }),
      );
    },
  };
}
