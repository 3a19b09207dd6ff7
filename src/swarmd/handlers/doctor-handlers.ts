import { DoctorService } from '#gen/swarm/v1/doctor.ts';
import type { NetworkDoctor } from '#manager/doctor/index.ts';
import { createClient } from '#proto/grpc/client.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import type { LeaderCalls } from '../leader-calls.ts';

export interface DoctorAccess {
  /** Works on the leader only, where the sessions of the agents are. */
  readonly networkDoctor: NetworkDoctor;
  readonly leaderCalls: LeaderCalls;
}

/** At any manager; the leader looks. */
export function doctorHandlers(manager: () => DoctorAccess): Handlers<typeof DoctorService> {
  return {
    checkNetworks: (request, context) => {
      const { networkDoctor, leaderCalls } = manager();
      return leaderCalls.stream(context, {
        local: () => networkDoctor.check(request.reference, context.signal),
        remote: (transport, options) => createClient(DoctorService, transport).checkNetworks(request, options),
      });
    },
  };
}
