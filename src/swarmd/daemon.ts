/** One host's daemon: its parts, its membership, its local API. */

import { createServer, type Server as HttpServer } from 'node:http';
import { hostname } from 'node:os';
import { IdentityStore } from '#agent/identity/index.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { systemRandom } from '#common/system/random.ts';
import { InitSwarmRequest } from '#gen/swarm/v1/node.ts';
import type { RpcServer } from '#proto/grpc/server.ts';
import { certificateMetrics } from './certificate-metrics.ts';
import type { DaemonParts } from './daemon-parts.ts';
import type { Engine } from './engine.ts';
import { auditHandlers } from './handlers/audit-handlers.ts';
import { localContainerHandlers } from './handlers/local-container-handlers.ts';
import { notAManager } from './handlers/manager-access.ts';
import { nodeHandlers } from './handlers/node-handlers.ts';
import { snapshotHandlers } from './handlers/snapshot-handlers.ts';
import { startLocalServer } from './local-server.ts';
import { Membership } from './membership.ts';
import { openEngine } from './open-engine.ts';
import type { DaemonOptions } from './options.ts';
import { pathsOf } from './paths.ts';
import { Preflight } from './preflight.ts';

export class Daemon {
  readonly #options: DaemonOptions;
  readonly #logger: Logger;
  readonly #onFailure: (error: SwarmError) => void;
  #engine: Engine | undefined;
  #membership: Membership | undefined;
  #server: RpcServer | undefined;
  #metrics: HttpServer | undefined;

  constructor(options: DaemonOptions, logger: Logger, onFailure: (error: SwarmError) => void) {
    this.#options = options;
    this.#logger = logger;
    this.#onFailure = onFailure;
  }

  async start(): Promise<void> {
    const options = this.#options;
    const logger = this.#logger;
    const paths = pathsOf(options.stateDir, options.runDir);
    const engine = await openEngine(options, paths, logger);
    this.#engine = engine;
    const parts: DaemonParts = {
      paths,
      hostname: options.hostname ?? hostname(),
      addresses: { listen: options.listenAddress ?? '', advertise: options.advertiseAddress ?? '' },
      executor: engine.executor,
      networkAppliers: engine.networkAppliers,
      networkDoctor: engine.networkDoctor,
      volumes: engine.volumes,
      networks: engine.networks,
      dataPathAddress: options.dataPathAddress,
      describe: engine.describe,
      pinner: engine.pinner,
      clock: systemClock,
      random: systemRandom,
      logger,
      onFailure: this.#onFailure,
      notAManager,
    };
    const membership = new Membership(parts, new IdentityStore(options.stateDir));
    this.#membership = membership;
    const preflight = new Preflight(options, paths);
    const node = nodeHandlers({
      membership,
      preflight,
      parts,
      counts: () => engine.counts(),
      stateDir: options.stateDir,
    });
    const snapshots = snapshotHandlers({
      backups: () => membership.manager().backups,
      restore: async (request, file) => {
        membership.requireInactive();
        const { listenAddress, skipPreflight } = request;
        const warnings = await preflight.beforeInit(InitSwarmRequest.create({ listenAddress, skipPreflight }));
        const restored = await membership.restore(request, file);
        return { ...restored, warnings: [...warnings, ...restored.warnings] };
      },
    });
    await membership.start();
    engine.onConditions(() => this.#redescribe());
    this.#server = await startLocalServer({
      socket: options.socket,
      membership,
      node,
      images: engine.imageHandlers,
      containers: localContainerHandlers({ membership, executor: engine.executor }),
      snapshots,
      audit: auditHandlers(paths.audit, () => membership.manager().audit.flush()),
      logger,
    });
    if (options.metricsAddress !== undefined) this.#metrics = await this.#serveMetrics(options.metricsAddress);
    logger.info('ready', { socket: options.socket, membership: membership.state.kind });
  }

  /** Lets go of everything; containers, networks and ports stay. */
  async close(): Promise<void> {
    this.#metrics?.close();
    // First of all: as long as this manager leads, nobody else can take writes.
    await this.#membership?.handOver();
    await this.#server?.close();
    await this.#membership?.close();
    await this.#engine?.close();
  }

  #redescribe(): void {
    const state = this.#membership?.state;
    if (state?.kind !== 'active') return;
    state.agent.session.redescribe().catch((thrown: unknown) => {
      this.#logger.warn('the node cannot describe itself', { error: SwarmError.from(thrown).message });
    });
  }

  #serveMetrics(address: string): Promise<HttpServer> {
    const at = address.lastIndexOf(':');
    const host = address.slice(0, at).replace(/^\[|\]$/g, '');
    const server = createServer((request, response) => {
      const state = this.#membership?.state;
      const manager = state?.kind === 'active' ? state.manager : undefined;
      if (request.method !== 'GET' || request.url !== '/metrics') {
        response.writeHead(404).end('see /metrics\n');
        return;
      }
      const own = `${certificateMetrics(state?.kind === 'active' ? state.certificate : undefined)}starling_tasks_running ${runningTasks(state)}\n`;
      if (manager === undefined) {
        response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' });
        response.end(`swarm_node_manager 0\n${own}`);
        return;
      }
      manager.metrics.text().then(
        (text) => {
          response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' });
          response.end(`${text}\n${own}`);
        },
        () => response.writeHead(500).end(),
      );
    });
    return new Promise((resolve, reject) => {
      server.once('error', (cause) => {
        reject(
          new SwarmError({
            code: 'precondition',
            reason: 'port-conflict',
            field: '--metrics-addr',
            message: `--metrics-addr: cannot listen on ${address}: ${cause.message}`,
            hint: 'choose another address or port',
          }),
        );
      });
      server.listen(Number(address.slice(at + 1)), host, () => resolve(server));
    });
  }
}

function runningTasks(state: Membership['state'] | undefined): number {
  return state?.kind === 'active' ? state.agent.worker.runningCount() : 0;
}
