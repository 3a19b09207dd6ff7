import type { WatchService } from '#gen/swarm/v1/watch.ts';
import { redactCluster, redactNode, redactRevision, redactService } from '#manager/control/index.ts';
import { type Redactor, watchStore } from '#manager/watch/index.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import type { ManagerAccess } from './manager-access.ts';

const REDACTOR: Redactor = {
  cluster: (cluster) => redactCluster(cluster, false),
  node: redactNode,
  service: redactService,
  revision: redactRevision,
  task: (task) => task,
};

export function watchHandlers(manager: ManagerAccess): Handlers<typeof WatchService> {
  return {
    watch: (request, context) => watchStore(manager().watchSource, REDACTOR, request, context.signal),
  };
}
