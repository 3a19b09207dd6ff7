import { AuditService } from '#gen/swarm/v1/audit.ts';
import { CertificateAuthorityService } from '#gen/swarm/v1/ca.ts';
import { ClientService } from '#gen/swarm/v1/clients.ts';
import { ContainerService } from '#gen/swarm/v1/containers.ts';
import { ControlService } from '#gen/swarm/v1/control.ts';
import { DispatcherService } from '#gen/swarm/v1/dispatcher.ts';
import { DoctorService } from '#gen/swarm/v1/doctor.ts';
import { EventService } from '#gen/swarm/v1/events.ts';
import { HealthService } from '#gen/swarm/v1/health.ts';
import { ImageService } from '#gen/swarm/v1/images.ts';
import { JobService } from '#gen/swarm/v1/jobs.ts';
import { LogBrokerService, LogsService } from '#gen/swarm/v1/logs.ts';
import { NodeService } from '#gen/swarm/v1/node.ts';
import { MembershipService, RaftService } from '#gen/swarm/v1/raft.ts';
import { RebalanceService } from '#gen/swarm/v1/rebalance.ts';
import { RolloutService } from '#gen/swarm/v1/rollouts.ts';
import { RootCaService } from '#gen/swarm/v1/rootca.ts';
import { SecretService } from '#gen/swarm/v1/secrets.ts';
import { SnapshotService } from '#gen/swarm/v1/snapshot.ts';
import { StackService } from '#gen/swarm/v1/stacks.ts';
import { UnlockKeyService } from '#gen/swarm/v1/unlock.ts';
import { VolumeService } from '#gen/swarm/v1/volumes.ts';
import { WatchService } from '#gen/swarm/v1/watch.ts';
import { createClient } from '#proto/grpc/client.ts';
import type { Client } from '#proto/grpc/methods.ts';
import type { Target, Transport } from '#proto/grpc/transport.ts';

/** The services of the contract by the name they have on a client. */
const SERVICES = {
  control: ControlService,
  rollouts: RolloutService,
  jobs: JobService,
  rebalance: RebalanceService,
  secrets: SecretService,
  volumes: VolumeService,
  stacks: StackService,
  containers: ContainerService,
  rootCa: RootCaService,
  unlockKey: UnlockKeyService,
  clients: ClientService,
  events: EventService,
  audit: AuditService,
  watch: WatchService,
  logs: LogsService,
  doctor: DoctorService,
  health: HealthService,
  node: NodeService,
  images: ImageService,
  snapshots: SnapshotService,
  certificateAuthority: CertificateAuthorityService,
  dispatcher: DispatcherService,
  logBroker: LogBrokerService,
  membership: MembershipService,
  raft: RaftService,
} as const;

type Services = { readonly [Name in keyof typeof SERVICES]: Client<(typeof SERVICES)[Name]> };

/**
 * A connection to one daemon. It is made by the first call, and made again after a loss by the next one. Which services
 * answer depends on the daemon and on who calls: `node`, `images` and
 * `snapshots` only on the machine's own socket, the cluster's
 * services only over TLS. Every failure is a SwarmError.
 */
export interface SwarmClient extends Services {
  /** Where it leads, for messages. */
  readonly target: Target;
  /** Ends the connection and all calls on it. A client that is not closed keeps the process alive. */
  close(): void;
}

export function createSwarmClient(transport: Transport): SwarmClient {
  const client = { target: transport.target, close: () => transport.close() };
  // Made when asked for: most callers need one service, and a command line is in a hurry.
  for (const [name, service] of Object.entries(SERVICES))
    Object.defineProperty(client, name, {
      configurable: true,
      enumerable: true,
      get() {
        const value = createClient(service, transport);
        Object.defineProperty(client, name, { value, enumerable: true });
        return value;
      },
    });
  return client as SwarmClient;
}
