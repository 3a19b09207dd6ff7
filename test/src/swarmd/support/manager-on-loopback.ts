import { createJoinToken } from '#certs/join-token.ts';
import { peerIdentity } from '#certs/peer.ts';
import { NodeChannelCredentials, NodeServerCredentials, type TlsIdentity } from '#certs/tls.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { CertificateAuthorityService } from '#gen/swarm/v1/ca.ts';
import { ContainerService } from '#gen/swarm/v1/containers.ts';
import { ControlService } from '#gen/swarm/v1/control.ts';
import { DispatcherService } from '#gen/swarm/v1/dispatcher.ts';
import { LogBrokerService, LogsService } from '#gen/swarm/v1/logs.ts';
import type { ManagerPeer } from '#gen/swarm/v1/objects.ts';
import { WatchService } from '#gen/swarm/v1/watch.ts';
import { CA_CONFIG, CertificateAuthority } from '#manager/ca/index.ts';
import { ControlApi } from '#manager/control/index.ts';
import { DISPATCHER_DEFAULTS, Dispatcher } from '#manager/dispatcher/index.ts';
import { LogBroker } from '#manager/logbroker/index.ts';
import { ReplicatedStore } from '#manager/replicated-store/index.ts';
import type { WatchSource } from '#manager/watch/index.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import { RpcServer } from '#proto/grpc/server.ts';
import { caHandlers } from '#src/swarmd/handlers/ca-handlers.ts';
import { containerHandlers } from '#src/swarmd/handlers/container-handlers.ts';
import { controlHandlers } from '#src/swarmd/handlers/control-handlers.ts';
import { dispatcherHandlers } from '#src/swarmd/handlers/dispatcher-handlers.ts';
import { logBrokerHandlers, logsHandlers } from '#src/swarmd/handlers/logs-handlers.ts';
import type { ServingManager } from '#src/swarmd/handlers/manager-access.ts';
import { watchHandlers } from '#src/swarmd/handlers/watch-handlers.ts';
import { LeaderCalls } from '#src/swarmd/leader-calls.ts';
import { LEADER_CALLS_DEFAULTS } from '#src/swarmd/leader-config.ts';
import { MemberLog, type SharedLog } from './shared-log.ts';

let seed = 0;

/** A manager with all of its API on a port of its own, on a log that is shared within the process. */
export class ManagerOnLoopback implements ServingManager {
  readonly nodeId: string;
  readonly log: MemberLog;
  readonly store: ReplicatedStore;
  readonly control: ControlApi;
  readonly authority: CertificateAuthority;
  readonly dispatcher: Dispatcher;
  readonly logBroker: LogBroker;
  readonly leaderCalls: LeaderCalls;
  readonly #server: RpcServer;
  readonly #tls: TlsIdentity;
  readonly #transports: GrpcTransport[] = [];
  /** Paths of the calls that came in, with who made them. */
  readonly seen: string[] = [];

  constructor(shared: SharedLog, nodeId: string, clusterId: string, tls: TlsIdentity) {
    const random = new SeededRandom(++seed);
    const [clock, logger] = [systemClock, silentLogger];
    this.nodeId = nodeId;
    this.#tls = tls;
    this.log = new MemberLog(shared, nodeId);
    const store = new ReplicatedStore({ log: this.log, logger, random });
    this.store = store;
    this.leaderCalls = new LeaderCalls({
      log: this.log,
      identity: { clusterId, tls: () => tls },
      clock,
      random,
      logger,
      config: { ...LEADER_CALLS_DEFAULTS, leaderWaitMs: 500 },
    });
    this.control = new ControlApi({
      store: { view: () => store.view(), decide: (decide, author) => store.decide(decide, { author }) },
      selfNodeId: () => nodeId,
      members: () => this.log.members(),
      random,
      images: { resolve: async () => undefined },
      tokens: (digest) => createJoinToken(digest),
      now: () => clock.now(),
      logger,
    });
    const managers = (): readonly ManagerPeer[] => this.managers();
    this.authority = new CertificateAuthority({
      store,
      clock,
      logger,
      config: CA_CONFIG,
      featureLevel: 1,
      managers,
      isMember: (nodeId) => this.log.members().some((member) => member.nodeId === nodeId),
    });
    this.dispatcher = new Dispatcher({
      store,
      managers,
      clock,
      random,
      logger,
      config: DISPATCHER_DEFAULTS,
    });
    this.logBroker = new LogBroker(() => store.view(), random, clock);
    this.#server = new RpcServer({
      trust: {
        kind: 'certificate',
        identify: (call) => peerIdentity(call, Date.now()),
        clusterId: () => clusterId,
      },
      logger,
      onCall: ({ path, caller }) =>
        this.seen.push(`${path.split('/')[2]} ${caller.kind === 'node' ? caller.nodeId : caller.kind}`),
    });
    const manager = (): ServingManager => this;
    this.#server.addService(CertificateAuthorityService, caHandlers(manager));
    this.#server.addService(ControlService, controlHandlers(manager));
    this.#server.addService(ContainerService, containerHandlers(manager));
    this.#server.addService(DispatcherService, dispatcherHandlers(manager));
    this.#server.addService(LogBrokerService, logBrokerHandlers(manager));
    this.#server.addService(LogsService, logsHandlers(manager));
    this.#server.addService(WatchService, watchHandlers(manager));
  }

  get watchSource(): WatchSource {
    return {
      watch: (afterVersion, signal) => {
        const { version } = this.store.view();
        const commits = this.store.watch(afterVersion === 0 ? {} : { after: afterVersion });
        signal.addEventListener('abort', () => commits.close(), { once: true });
        return { version, commits };
      },
    };
  }

  managers(): readonly ManagerPeer[] {
    return this.log.members().map(({ nodeId, address }) => ({ nodeId, address }));
  }

  async start(): Promise<void> {
    await this.store.start();
    this.store.onCommit((commit, view) => this.dispatcher.observe(commit, view));
    this.store.onCommit((commit) => this.logBroker.observe(commit));
    this.log.onLeadership(({ state }) => {
      if (state === 'leader') this.dispatcher.start(this.store.view());
      else this.#stopLeading();
    });
    this.log.address = `127.0.0.1:${await this.#server.listen('127.0.0.1:0', new NodeServerCredentials(this.#tls))}`;
  }

  /** A connection to this manager; without an identity as one who has none yet. */
  connect(identity: TlsIdentity | undefined): GrpcTransport {
    const expect = { role: 'manager', nodeId: this.nodeId } as const;
    const transport = new GrpcTransport({
      target: { kind: 'address', name: this.log.address },
      credentials: new NodeChannelCredentials(
        identity === undefined
          ? { kind: 'pinned', rootsPem: this.#tls.rootsPem, expect }
          : { kind: 'member', identity: () => identity, expect },
      ),
    });
    this.#transports.push(transport);
    return transport;
  }

  async close(): Promise<void> {
    for (const transport of this.#transports) transport.close();
    this.leaderCalls.close();
    this.#stopLeading();
    await this.#server.close(0);
    await this.store.close();
  }

  #stopLeading(): void {
    this.dispatcher.stop('the lead has moved');
    const error = new SwarmError({ code: 'unavailable', reason: 'not-leader', message: 'the lead has moved' });
    this.logBroker.stop(error);
  }
}
