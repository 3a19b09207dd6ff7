/** What a manager is made of, put together: log, store, API, certificate authority, dispatcher, loops. */
import { createJoinToken } from '#certs/join-token.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import type { ManagerPeer } from '#gen/swarm/v1/objects.ts';
import type { RaftMember } from '#gen/swarm/v1/raft.ts';
import { AuditWriter, DEFAULT_AUDIT_CONFIG } from '#manager/audit/index.ts';
import { Backups } from '#manager/backup/index.ts';
import { CA_CONFIG, CertificateAuthority, ClientCertificates } from '#manager/ca/index.ts';
import { ControlApi, type ImagePinner } from '#manager/control/index.ts';
import { DISPATCHER_DEFAULTS, Dispatcher } from '#manager/dispatcher/index.ts';
import { NETWORK_DOCTOR_DEFAULTS, NetworkDoctor } from '#manager/doctor/index.ts';
import type { DataKeys, Leadership, WaitOptions } from '#manager/log/index.ts';
import { LogBroker } from '#manager/logbroker/index.ts';
import { type LogFigures, ManagerMetrics } from '#manager/metrics/index.ts';
import { createLoops } from '#manager/orchestrator/index.ts';
import { type NewMember, type PeerTransport, RaftLog, type RaftLogOptions } from '#manager/raft/index.ts';
import { ReplicatedStore } from '#manager/replicated-store/index.ts';
import { Runner } from '#manager/runner/index.ts';
import type { WatchSource } from '#manager/watch/index.ts';
import { LeaderCalls } from './leader-calls.ts';
import { makeLeaderLoops } from './leader-loops.ts';
import { LeaderParts } from './leader-parts.ts';
import type { NodeIdentity } from './node-identity.ts';
import { makeRootPreparer } from './root-rotation.ts';
import { tuneLog } from './tune-log.ts';
import { FEATURE_LEVEL, VERSION } from './version.ts';

export interface ManagerOptions {
  readonly logDirectory: string;
  /** Where scheduled saves of the swarm go. */
  readonly snapshotDirectory: string;
  /** Where the record of what is done to the swarm goes. */
  readonly auditDirectory: string;
  /** They seal the log. */
  readonly keys: DataKeys;
  readonly identity: NodeIdentity;
  /** Where the log comes from. */
  readonly origin: RaftLogOptions['origin'];
  readonly transport: PeerTransport;
  readonly images: ImagePinner;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The log has failed: this manager must not go on. Called once. */
  readonly onFailure: (error: SwarmError) => void;
  /** This manager is no member of the log any more: it must stop and forget its log. Called once. */
  readonly onRemoved: (error: SwarmError) => void;
}

/** A leader that is asked to hand over does so in a round trip; one that cannot must not hold up the stop. */
const HAND_OVER_TIMEOUT_MS = 2_000;

export class ManagerRole {
  readonly nodeId: string;
  readonly identity: NodeIdentity;
  readonly log: RaftLog;
  readonly transport: PeerTransport;
  readonly store: ReplicatedStore;
  readonly control: ControlApi;
  readonly authority: CertificateAuthority;
  readonly dispatcher: Dispatcher;
  readonly logBroker: LogBroker;
  readonly networkDoctor: NetworkDoctor;
  readonly metrics: ManagerMetrics;
  readonly backups: Backups;
  readonly audit: AuditWriter;
  /** Brings what only the leader does to the leader. */
  readonly leaderCalls: LeaderCalls;
  readonly #leaderParts: LeaderParts;
  readonly #options: ManagerOptions;
  readonly #unsubscribe: (() => void)[] = [];
  #snapshotAtMs: number | undefined;
  #lastTerm = 0;
  #closed: Promise<void> | undefined;

  constructor(options: ManagerOptions) {
    this.#options = options;
    const { clock, random, logger, identity } = options;
    this.identity = identity;
    this.nodeId = identity.nodeId;
    this.transport = options.transport;
    this.metrics = new ManagerMetrics({
      view: () => this.store.view(),
      leading: () => this.#leaderParts.running,
      sessions: () => this.dispatcher.sessionCount,
      log: () => this.#logFigures(),
      saves: () => this.backups.status,
    });
    this.log = this.#makeLog();
    this.leaderCalls = new LeaderCalls({
      log: this.log,
      identity,
      clock,
      random,
      logger: logger.with({ part: 'leader-calls' }),
    });
    const store = new ReplicatedStore({ log: this.log, logger: logger.with({ part: 'store' }), clock, random });
    this.store = store;
    const managers = (): readonly ManagerPeer[] => this.managers();
    this.control = this.#makeControl();
    this.authority = new CertificateAuthority({
      store,
      clock,
      logger: logger.with({ part: 'ca' }),
      config: CA_CONFIG,
      featureLevel: FEATURE_LEVEL,
      managers,
      isMember: (nodeId) => this.log.members().some((member) => member.nodeId === nodeId),
      identity: identity.tls,
    });
    this.dispatcher = new Dispatcher({
      store,
      managers,
      managerHeardMs: (nodeId) => this.#managerHeardMs(nodeId),
      onNetworkReport: (nodeId, report) => this.networkDoctor.reported(nodeId, report),
      clock,
      random,
      logger: logger.with({ part: 'dispatcher' }),
      config: DISPATCHER_DEFAULTS,
    });
    this.logBroker = new LogBroker(() => store.view(), random, clock);
    const { dispatcher } = this;
    const doctor = { view: () => store.view(), dispatcher, clock, random, config: NETWORK_DOCTOR_DEFAULTS };
    this.networkDoctor = new NetworkDoctor(doctor);
    this.backups = new Backups({
      store,
      log: this.log,
      members: () => this.log.members(),
      nodeId: this.nodeId,
      release: VERSION,
      directory: options.snapshotDirectory,
      clock,
      logger: logger.with({ part: 'backup' }),
    });
    this.audit = new AuditWriter({
      directory: options.auditDirectory,
      store,
      clock,
      random,
      logger: logger.with({ part: 'audit' }),
      config: DEFAULT_AUDIT_CONFIG,
      caughtUp: () => store.readBarrier(),
    });
    this.#leaderParts = this.#makeLeaderParts();
  }

  /**
   * Recovers the log, or joins it; resolves when everything that was acknowledged before is in the store. Without a
   * quorum it resolves too, unless it joins: reads and writes then say what is missing.
   * @throws SwarmError `feature-level` when the cluster needs a later release
   */
  async start(): Promise<void> {
    await this.store.start();
    this.#checkFeatureLevel();
    this.#unsubscribe.push(
      this.store.onCommit((commit, view) => this.dispatcher.observe(commit, view)),
      this.store.onCommit((commit) => this.logBroker.observe(commit)),
      this.store.onCommit((commit) => {
        if (commit.events.some(({ table }) => table === 'cluster')) tuneLog(this.log, this.store.view().cluster());
      }),
      this.store.onReplaced(() => tuneLog(this.log, this.store.view().cluster())),
      this.log.onLeadership((leadership) => this.#leadershipChanged(leadership)),
      this.log.onMembers(() => {
        this.dispatcher.managersChanged();
        this.#prepareCalls();
      }),
    );
    this.#prepareCalls();
    tuneLog(this.log, this.store.view().cluster());
    this.backups.start();
    this.audit.start();
    this.#leadershipChanged(this.log.leadership());
  }

  /** The managers that agents, joiners and this node's own calls may turn to. */
  managers(): readonly ManagerPeer[] {
    return this.log
      .members()
      .filter((member) => member.voter)
      .map(({ nodeId, address }) => ({ nodeId, address }));
  }

  /** Changes after a version, for the watch API. */
  get watchSource(): WatchSource {
    return {
      watch: (afterVersion, signal) => {
        const version = this.store.view().version;
        const commits = this.store.watch(afterVersion === 0 ? {} : { after: afterVersion });
        const close = (): void => commits.close();
        if (signal.aborted) close();
        else signal.addEventListener('abort', close, { once: true });
        return { version, commits };
      },
    };
  }

  /** Makes a member of the node, unless the cluster is above its feature level; see `FeatureLevelRaiser.admit`. */
  admit(node: NewMember, wait: WaitOptions): Promise<RaftMember> {
    return this.#leaderParts.features.admit(node, () => this.log.addMember(node, wait));
  }

  /**
   * A leader hands over to another manager, so that writes go on without an election; does nothing on others. Resolves
   * within two seconds in any case.
   */
  async handOver(): Promise<void> {
    const others = this.log.members().some((member) => member.voter && !member.self && member.reachable);
    if (this.log.leadership().state !== 'leader' || !others) return;
    await this.log.transferLeadership({ timeoutMs: HAND_OVER_TIMEOUT_MS }).catch((thrown: unknown) => {
      this.#options.logger.warn('the lead could not be handed over', { error: SwarmError.from(thrown).message });
    });
  }

  async close(): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  async #close(): Promise<void> {
    await this.handOver();
    for (const stop of this.#unsubscribe) stop();
    await this.backups.close();
    await this.audit.close();
    await this.#leaderParts.stop('the manager is shutting down');
    this.leaderCalls.close();
    await this.store.close();
  }

  #makeLog(): RaftLog {
    const { logDirectory, keys, identity, origin, transport, logger, clock, random, onRemoved } = this.#options;
    return new RaftLog({
      directory: logDirectory,
      keys,
      logger: logger.with({ part: 'log' }),
      clock,
      random,
      transport,
      nodeId: identity.nodeId,
      address: () => identity.addresses.advertise,
      featureLevel: FEATURE_LEVEL,
      origin,
      onRemoved: (error) => {
        if (this.#closed === undefined) onRemoved(error);
      },
      observer: {
        flushed: (durationMs) => this.metrics.logFlush.observe(durationMs / 1000),
        snapshotWritten: () => {
          this.#snapshotAtMs = clock.monotonic();
        },
        recovered: (durationMs, entries) => logger.info('log recovered', { durationMs, entries }),
      },
    });
  }

  #makeControl(): ControlApi {
    const { clock, random, logger, images } = this.#options;
    const { store } = this;
    return new ControlApi({
      store: {
        view: () => store.view(),
        decide: async (decide, author) => {
          const startMs = clock.monotonic();
          await store.decide(decide, { author });
          this.metrics.writeLatency.observe((clock.monotonic() - startMs) / 1000);
        },
      },
      selfNodeId: () => this.nodeId,
      members: () => this.log.members(),
      random,
      images,
      tokens: (digest) => createJoinToken(digest),
      clients: new ClientCertificates({
        cluster: () => store.view().cluster(),
        managers: () => this.managers(),
        clock,
      }),
      prepareRoot: makeRootPreparer(() => this.authority, clock),
      now: () => clock.now(),
      logger,
    });
  }

  #makeLeaderParts(): LeaderParts {
    const { clock, logger, random } = this.#options;
    const { metrics, store, log, dispatcher, logBroker, networkDoctor } = this;
    const runner = new Runner({
      loops: createLoops({ random }),
      store,
      clock,
      random,
      logger: logger.with({ part: 'loops' }),
      observer: {
        planned: (loop, durationMs) => metrics.planDuration.observe({ loop }, durationMs / 1000),
        committed: (loop, _durationMs, _groups, conflicts) => {
          if (conflicts > 0) metrics.conflicts.inc({ loop }, conflicts);
        },
        failed: (loop) => metrics.loopErrors.inc({ loop }),
      },
    });
    const loops = makeLeaderLoops({ store, log, clock, random, logger });
    return new LeaderParts({ view: () => store.view(), dispatcher, logBroker, networkDoctor, runner, ...loops });
  }

  /** What an older release would have to pass over is not for it to apply. */
  #checkFeatureLevel(): void {
    const needed = this.store.view().cluster()?.featureLevel ?? 0;
    if (needed <= FEATURE_LEVEL) return;
    throw new SwarmError({
      code: 'precondition',
      reason: 'feature-level',
      message: `the swarm is at feature level ${needed}, and this release understands ${FEATURE_LEVEL}: it cannot be a manager`,
      hint: 'start a release that is not older than the other managers (`swarm node ls` there shows it)',
    });
  }

  #prepareCalls(): void {
    if (this.#closed === undefined) this.leaderCalls.prepare(this.log.members().filter((member) => !member.self));
  }

  #leadershipChanged(leadership: Leadership): void {
    if (this.#closed !== undefined) return;
    if ((leadership.state === 'leader' || leadership.state === 'follower') && leadership.term > this.#lastTerm) {
      this.#lastTerm = leadership.term;
      this.metrics.elections.inc();
    }
    this.#tellLeadership(leadership);
    switch (leadership.state) {
      case 'leader':
        this.#leaderParts.start();
        return;
      case 'none':
      case 'follower':
        void this.#leaderParts.stop('this manager does not lead any more');
        return;
      case 'stopped':
        void this.#leaderParts.stop('the log has stopped');
        // That it was removed is told by the log itself, and no failure.
        if (leadership.error !== undefined && leadership.error.reason !== 'node-removed')
          this.#options.onFailure(leadership.error);
        return;
    }
  }

  #tellLeadership(leadership: Leadership): void {
    const logger = this.#options.logger.with({ part: 'leadership' });
    if (leadership.state === 'leader') logger.info('this manager leads', { term: leadership.term });
    else if (leadership.state === 'none') logger.info('no manager leads');
    else if (leadership.state === 'follower' && leadership.leader !== undefined)
      logger.info('another manager leads', { leader: leadership.leader, term: leadership.term });
  }

  #managerHeardMs(nodeId: string): number | undefined {
    const member = this.log.members().find((one) => one.nodeId === nodeId && !one.self);
    const heardMs = member === undefined ? undefined : this.transport.peer(member.raftId)?.lastHeardMs;
    return heardMs === undefined || heardMs === -Infinity ? undefined : heardMs;
  }

  #logFigures(): LogFigures {
    const status = this.log.status();
    const { state } = status.leadership;
    return {
      hasLeader:
        state === 'leader' || (status.leadership.state === 'follower' && status.leadership.leader !== undefined),
      committedIndex: status.committedIndex,
      appliedIndex: status.appliedIndex,
      logBytes: status.logBytes,
      snapshotAgeMs:
        this.#snapshotAtMs === undefined ? undefined : this.#options.clock.monotonic() - this.#snapshotAtMs,
      members: this.log.members().map(({ raftId, nodeId, voter, reachable, self }) => ({
        nodeId,
        voter,
        reachable,
        roundTripMs: self ? undefined : this.transport.peer(raftId)?.roundTripMs,
      })),
    };
  }
}
