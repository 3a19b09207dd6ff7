/** What other nodes reach: every cluster service on one port, with mutual TLS. */
import { peerIdentity } from '#certs/peer.ts';
import type { Logger } from '#common/log.ts';
import { CertificateAuthorityService } from '#gen/swarm/v1/ca.ts';
import { ClientService } from '#gen/swarm/v1/clients.ts';
import { ContainerService } from '#gen/swarm/v1/containers.ts';
import { ControlService } from '#gen/swarm/v1/control.ts';
import { DispatcherService } from '#gen/swarm/v1/dispatcher.ts';
import { DoctorService } from '#gen/swarm/v1/doctor.ts';
import { EventService } from '#gen/swarm/v1/events.ts';
import { HealthService } from '#gen/swarm/v1/health.ts';
import { JobService } from '#gen/swarm/v1/jobs.ts';
import { LogBrokerService, LogsService } from '#gen/swarm/v1/logs.ts';
import { MembershipService, RaftService } from '#gen/swarm/v1/raft.ts';
import { RebalanceService } from '#gen/swarm/v1/rebalance.ts';
import { RolloutService } from '#gen/swarm/v1/rollouts.ts';
import { RootCaService } from '#gen/swarm/v1/rootca.ts';
import { SecretService } from '#gen/swarm/v1/secrets.ts';
import { StackService } from '#gen/swarm/v1/stacks.ts';
import { UnlockKeyService } from '#gen/swarm/v1/unlock.ts';
import { VolumeService } from '#gen/swarm/v1/volumes.ts';
import { WatchService } from '#gen/swarm/v1/watch.ts';
import { type GrpcPeerTransport, raftHandlers } from '#manager/raft/index.ts';
import { RpcServer } from '#proto/grpc/server.ts';
import { admitClient } from './admit-client.ts';
import { admitNode, roleOfNode, strangerProblem } from './admit-node.ts';
import { explainStranger } from './explain-stranger.ts';
import { caHandlers } from './handlers/ca-handlers.ts';
import { clientHandlers } from './handlers/client-handlers.ts';
import { containerHandlers } from './handlers/container-handlers.ts';
import { controlHandlers } from './handlers/control-handlers.ts';
import { dispatcherHandlers } from './handlers/dispatcher-handlers.ts';
import { doctorHandlers } from './handlers/doctor-handlers.ts';
import { eventHandlers } from './handlers/event-handlers.ts';
import { healthHandlers } from './handlers/health-handlers.ts';
import { jobHandlers } from './handlers/job-handlers.ts';
import { logBrokerHandlers, logsHandlers } from './handlers/logs-handlers.ts';
import type { ManagerAccess } from './handlers/manager-access.ts';
import { membershipHandlers } from './handlers/membership-handlers.ts';
import { rebalanceHandlers } from './handlers/rebalance-handlers.ts';
import { rolloutHandlers } from './handlers/rollout-handlers.ts';
import { rootCaHandlers } from './handlers/root-ca-handlers.ts';
import { secretHandlers } from './handlers/secret-handlers.ts';
import { stackHandlers } from './handlers/stack-handlers.ts';
import { unlockKeyHandlers } from './handlers/unlock-key-handlers.ts';
import { volumeHandlers } from './handlers/volume-handlers.ts';
import { watchHandlers } from './handlers/watch-handlers.ts';
import type { NodeIdentity } from './node-identity.ts';
import { noteRefusal } from './note-refusal.ts';

/** How long streams may outlive the certificate that they were opened with; a look at 10,000 takes 1 ms. */
const EXPIRY_LOOK_MS = 1_000;

export interface ClusterServerOptions {
  /** Who serves, and on which address. */
  readonly identity: NodeIdentity;
  readonly manager: ManagerAccess;
  /** Why this manager will never serve; undefined as long as it may. */
  readonly problem: () => string | undefined;
  readonly logger: Logger;
}

export interface ClusterServer {
  readonly port: number;
  /** Takes streams of other managers for this transport from now on. */
  serveLog(transport: GrpcPeerTransport): void;
  /** Ends the streams of nodes and clients that may not have them any more, as the manager knows now. */
  review(isConcerned: (id: string) => boolean): void;
  close(): Promise<void>;
}

export async function startClusterServer(options: ClusterServerOptions): Promise<ClusterServer> {
  const { manager, identity } = options;
  const server = new RpcServer({
    trust: {
      kind: 'certificate',
      identify: (call) => peerIdentity(call, Date.now()),
      clusterId: () => identity.clusterId,
      admit: (caller, path) => admitNode(manager, caller, path),
      admitClient: (caller) => admitClient(manager, caller),
      explainStranger: (untrusted) => explainStranger(manager, untrusted),
      roleOf: (caller, path) => roleOfNode(manager, caller, path),
    },
    logger: options.logger.with({ part: 'cluster-server' }),
    onCall: (call) => noteRefusal(manager, call),
  });
  server.addService(CertificateAuthorityService, caHandlers(manager));
  server.addService(ControlService, controlHandlers(manager));
  server.addService(ClientService, clientHandlers(manager));
  server.addService(ContainerService, containerHandlers(manager));
  server.addService(DispatcherService, dispatcherHandlers(manager));
  server.addService(DoctorService, doctorHandlers(manager));
  server.addService(EventService, eventHandlers(manager));
  server.addService(LogBrokerService, logBrokerHandlers(manager));
  server.addService(LogsService, logsHandlers(manager));
  server.addService(SecretService, secretHandlers(manager));
  server.addService(JobService, jobHandlers(manager));
  server.addService(RolloutService, rolloutHandlers(manager));
  server.addService(RootCaService, rootCaHandlers(manager));
  server.addService(UnlockKeyService, unlockKeyHandlers(manager));
  server.addService(RebalanceService, rebalanceHandlers(manager));
  server.addService(VolumeService, volumeHandlers(manager));
  server.addService(StackService, stackHandlers(manager));
  server.addService(WatchService, watchHandlers(manager));
  server.addService(MembershipService, membershipHandlers(manager));
  server.addService(HealthService, healthHandlers({ problem: options.problem }));
  const port = await server.listen(identity.addresses.listen, identity.freshServerCredentials());
  let log: GrpcPeerTransport | undefined;
  const expiry = setInterval(() => server.endExpired(Date.now()), EXPIRY_LOOK_MS);
  return {
    port,
    serveLog: (transport) => {
      log = transport;
      server.addService(
        RaftService,
        raftHandlers(transport, (caller) => strangerProblem(manager, caller)),
      );
    },
    review: (isConcerned) => {
      server.review(isConcerned);
      log?.reviewStrangers();
    },
    close: () => {
      clearInterval(expiry);
      return server.close();
    },
  };
}
