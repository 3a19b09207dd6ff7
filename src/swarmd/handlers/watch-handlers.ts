import type { WatchService } from '#gen/swarm/v1/watch.ts';
import {
  redactCluster,
  redactNode,
  redactRevision,
  redactSecretVersion,
  redactService,
} from '#manager/control/index.ts';
import { type Redactor, watchStore } from '#manager/watch/index.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { caughtUp, type ServingAccess } from './manager-access.ts';

const REDACTOR: Redactor = {
  cluster: (cluster) => redactCluster(cluster, false),
  node: redactNode,
  service: redactService,
  revision: redactRevision,
  task: (task) => task,
  secretVersion: redactSecretVersion,
};

export function watchHandlers(manager: ServingAccess): Handlers<typeof WatchService> {
  return {
    watch: async function* (request, context) {
      const serving = manager();
      // A version that was seen at another manager is known here from now on.
      await caughtUp(serving, context);
      yield* watchStore(serving.watchSource, REDACTOR, request, context.signal);
    },
  };
}
