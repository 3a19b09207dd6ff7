/** The local API: everything, for root of this host, on a socket. */
import type { Logger } from '#common/log.ts';
import { AuditService } from '#gen/swarm/v1/audit.ts';
import { ClientService } from '#gen/swarm/v1/clients.ts';
import { ContainerService } from '#gen/swarm/v1/containers.ts';
import { ControlService } from '#gen/swarm/v1/control.ts';
import { DoctorService } from '#gen/swarm/v1/doctor.ts';
import { EventService } from '#gen/swarm/v1/events.ts';
import { HealthService } from '#gen/swarm/v1/health.ts';
import type { ImageService } from '#gen/swarm/v1/images.ts';
import { ImageService as ImageServiceDefinition } from '#gen/swarm/v1/images.ts';
import { JobService } from '#gen/swarm/v1/jobs.ts';
import { LogsService } from '#gen/swarm/v1/logs.ts';
import { NodeService } from '#gen/swarm/v1/node.ts';
import { RebalanceService } from '#gen/swarm/v1/rebalance.ts';
import { RolloutService } from '#gen/swarm/v1/rollouts.ts';
import { RootCaService } from '#gen/swarm/v1/rootca.ts';
import { SecretService } from '#gen/swarm/v1/secrets.ts';
import { SnapshotService } from '#gen/swarm/v1/snapshot.ts';
import { StackService } from '#gen/swarm/v1/stacks.ts';
import { UnlockKeyService } from '#gen/swarm/v1/unlock.ts';
import { VolumeService } from '#gen/swarm/v1/volumes.ts';
import { WatchService } from '#gen/swarm/v1/watch.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { RpcServer } from '#proto/grpc/server.ts';
import { clientHandlers } from './handlers/client-handlers.ts';
import { controlHandlers } from './handlers/control-handlers.ts';
import { doctorHandlers } from './handlers/doctor-handlers.ts';
import { eventHandlers } from './handlers/event-handlers.ts';
import { healthHandlers } from './handlers/health-handlers.ts';
import { jobHandlers } from './handlers/job-handlers.ts';
import { logsHandlers } from './handlers/logs-handlers.ts';
import { rebalanceHandlers } from './handlers/rebalance-handlers.ts';
import { rolloutHandlers } from './handlers/rollout-handlers.ts';
import { rootCaHandlers } from './handlers/root-ca-handlers.ts';
import { secretHandlers } from './handlers/secret-handlers.ts';
import { stackHandlers } from './handlers/stack-handlers.ts';
import { unlockKeyHandlers } from './handlers/unlock-key-handlers.ts';
import { volumeHandlers } from './handlers/volume-handlers.ts';
import { watchHandlers } from './handlers/watch-handlers.ts';
import { whileUnlocked } from './handlers/while-unlocked.ts';
import type { Membership } from './membership.ts';

export interface LocalServerOptions {
  readonly socket: string;
  readonly membership: Membership;
  readonly node: Handlers<typeof NodeService>;
  readonly images: Handlers<typeof ImageService> | undefined;
  readonly containers: Handlers<typeof ContainerService>;
  readonly snapshots: Handlers<typeof SnapshotService>;
  readonly audit: Handlers<typeof AuditService>;
  readonly logger: Logger;
}

export async function startLocalServer(options: LocalServerOptions): Promise<RpcServer> {
  const { membership } = options;
  const server = new RpcServer({ trust: { kind: 'local' }, logger: options.logger.with({ part: 'local-server' }) });
  const manager = () => membership.manager();
  // What a manager knows is encrypted as long as it is locked; only the node itself answers then.
  const open = <H extends object>(handlers: H): H => whileUnlocked(membership, handlers);
  server.addService(NodeService, options.node);
  server.addService(ControlService, open(controlHandlers(manager)));
  server.addService(ClientService, open(clientHandlers(manager)));
  server.addService(ContainerService, open(options.containers));
  server.addService(SnapshotService, open(options.snapshots));
  server.addService(DoctorService, open(doctorHandlers(manager)));
  server.addService(EventService, open(eventHandlers(manager)));
  server.addService(AuditService, options.audit);
  server.addService(LogsService, open(logsHandlers(manager)));
  server.addService(SecretService, open(secretHandlers(manager)));
  server.addService(JobService, open(jobHandlers(manager)));
  server.addService(RolloutService, open(rolloutHandlers(manager)));
  server.addService(RootCaService, open(rootCaHandlers(manager)));
  server.addService(UnlockKeyService, open(unlockKeyHandlers(manager)));
  server.addService(RebalanceService, open(rebalanceHandlers(manager)));
  server.addService(VolumeService, open(volumeHandlers(manager)));
  server.addService(StackService, open(stackHandlers(manager)));
  server.addService(WatchService, open(watchHandlers(manager)));
  server.addService(
    HealthService,
    healthHandlers({
      problem: () => problemOf(membership.state),
    }),
  );
  if (options.images !== undefined) server.addService(ImageServiceDefinition, open(options.images));
  await server.listenSocket(options.socket);
  return server;
}

function problemOf(state: Membership['state']): string | undefined {
  return state.kind === 'error' || state.kind === 'locked' ? state.error.message : undefined;
}
