/** The unlock key at a manager: shown by any of them, rotated by the leader. */
import { UnlockKeyService } from '#gen/swarm/v1/unlock.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { read, writesOf } from './control-calls.ts';
import type { ServingAccess } from './manager-access.ts';

const write = writesOf(UnlockKeyService);

export function unlockKeyHandlers(manager: ServingAccess): Handlers<typeof UnlockKeyService> {
  return {
    getUnlockKey: async (_request, context) => read(manager(), context, (api, by) => api.unlockKeys.get(by)),
    rotateUnlockKey: async (request, context) =>
      write(manager(), context, {
        local: (api, by) => api.unlockKeys.rotate(by),
        remote: (leader, options) => leader.rotateUnlockKey(request, options),
      }),
  };
}
