/** What other nodes reach: every cluster service on one port, with mutual TLS. */
import { peerIdentity } from '#certs/peer.ts';
import { NodeServerCredentials, type TlsIdentity } from '#certs/tls.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { CertificateAuthorityService } from '#gen/swarm/v1/ca.ts';
import { ControlService } from '#gen/swarm/v1/control.ts';
import { DispatcherService } from '#gen/swarm/v1/dispatcher.ts';
import { HealthService } from '#gen/swarm/v1/health.ts';
import { LogBrokerService, LogsService } from '#gen/swarm/v1/logs.ts';
import { WatchService } from '#gen/swarm/v1/watch.ts';
import { RpcServer } from '#proto/grpc/server.ts';
import { caHandlers } from './handlers/ca-handlers.ts';
import { controlHandlers } from './handlers/control-handlers.ts';
import { dispatcherHandlers } from './handlers/dispatcher-handlers.ts';
import { healthHandlers } from './handlers/health-handlers.ts';
import { logBrokerHandlers, logsHandlers } from './handlers/logs-handlers.ts';
import type { ManagerAccess } from './handlers/manager-access.ts';
import { watchHandlers } from './handlers/watch-handlers.ts';

export interface ClusterServerOptions {
  /** host:port to listen on. */
  readonly address: string;
  readonly tls: TlsIdentity;
  readonly clusterId: string;
  readonly manager: ManagerAccess;
  readonly logger: Logger;
}

export interface ClusterServer {
  readonly port: number;
  close(): Promise<void>;
}

export async function startClusterServer(options: ClusterServerOptions): Promise<ClusterServer> {
  const { manager } = options;
  const server = new RpcServer({
    trust: {
      kind: 'certificate',
      identify: (call) => peerIdentity(call, Date.now()),
      clusterId: () => options.clusterId,
      admit: (caller) => refuseRemoved(manager, caller.nodeId),
    },
    logger: options.logger.with({ part: 'cluster-server' }),
  });
  server.addService(CertificateAuthorityService, caHandlers(manager));
  server.addService(ControlService, controlHandlers(manager));
  server.addService(DispatcherService, dispatcherHandlers(manager));
  server.addService(LogBrokerService, logBrokerHandlers(manager));
  server.addService(LogsService, logsHandlers(manager));
  server.addService(WatchService, watchHandlers(manager));
  server.addService(HealthService, healthHandlers({ problem: () => undefined }));
  const port = await server.listen(options.address, new NodeServerCredentials(options.tls));
  return { port, close: () => server.close() };
}

/** A certificate outlives the membership that it was issued for. */
function refuseRemoved(manager: ManagerAccess, nodeId: string): SwarmError | undefined {
  const view = manager().store.view();
  if (view.get('node', nodeId) !== undefined) return undefined;
  return new SwarmError({
    code: 'denied',
    reason: 'node-removed',
    message: `node ${nodeId} is not part of the swarm any more`,
    hint: 'let it leave (`swarm leave --force` there) and join again with a token',
  });
}
