/** What a manager is made of, put together: log, store, API, certificate authority, dispatcher, loops. */
import { createJoinToken } from '#certs/join-token.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import type { ManagerPeer } from '#gen/swarm/v1/objects.ts';
import { CA_CONFIG, CertificateAuthority } from '#manager/ca/index.ts';
import { ControlApi, type ImagePinner } from '#manager/control/index.ts';
import { DISPATCHER_DEFAULTS, Dispatcher } from '#manager/dispatcher/index.ts';
import { type Leadership, WalLog } from '#manager/log/index.ts';
import { LogBroker } from '#manager/logbroker/index.ts';
import { ManagerMetrics } from '#manager/metrics/index.ts';
import { createLoops } from '#manager/orchestrator/index.ts';
import { ReplicatedStore } from '#manager/replicated-store/index.ts';
import { Runner } from '#manager/runner/index.ts';
import type { StoreView } from '#manager/store/index.ts';
import type { WatchSource } from '#manager/watch/index.ts';
import { FEATURE_LEVEL } from './version.ts';

export interface ManagerOptions {
  readonly logDirectory: string;
  readonly dataKey: Uint8Array;
  readonly nodeId: string;
  /** host:port that other nodes reach this manager at. */
  readonly address: () => string;
  readonly images: ImagePinner;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The log has failed: this manager must not go on. Called once. */
  readonly onFailure: (error: SwarmError) => void;
}

export class ManagerRole {
  readonly store: ReplicatedStore;
  readonly control: ControlApi;
  readonly authority: CertificateAuthority;
  readonly dispatcher: Dispatcher;
  readonly logBroker: LogBroker;
  readonly metrics: ManagerMetrics;
  readonly #log: WalLog;
  readonly #runner: Runner;
  readonly #options: ManagerOptions;
  readonly #unsubscribe: (() => void)[] = [];
  #leading = false;
  #closed = false;

  constructor(options: ManagerOptions) {
    this.#options = options;
    const { clock, random, logger, nodeId } = options;
    this.metrics = new ManagerMetrics({
      view: () => this.store.view(),
      leading: () => this.#leading,
      sessions: () => this.dispatcher.sessionCount,
      logIndex: () => this.#log.status().appliedIndex,
    });
    this.#log = new WalLog({
      directory: options.logDirectory,
      keys: { current: options.dataKey },
      logger: logger.with({ part: 'log' }),
      clock,
      observer: {
        flushed: (durationMs) => this.metrics.logFlush.observe(durationMs / 1000),
        snapshotWritten: () => {},
        recovered: (durationMs, entries) => logger.info('log recovered', { durationMs, entries }),
      },
    });
    const store = new ReplicatedStore({ log: this.#log, logger: logger.with({ part: 'store' }), clock, random });
    this.store = store;
    const managers = (): readonly ManagerPeer[] => [{ nodeId, address: options.address() }];
    this.control = new ControlApi({
      store: {
        view: () => store.view(),
        decide: async (decide, author) => {
          const startMs = clock.monotonic();
          await store.decide(decide, { author });
          this.metrics.writeLatency.observe((clock.monotonic() - startMs) / 1000);
        },
      },
      selfNodeId: () => nodeId,
      random,
      images: options.images,
      tokens: (digest) => createJoinToken(digest),
      now: () => clock.now(),
      logger,
    });
    this.authority = new CertificateAuthority({
      store: {
        view: () => store.view(),
        commit: (changes) => store.commit(changes),
        subscribe: (listener) => store.onCommit(listener),
      },
      clock,
      logger: logger.with({ part: 'ca' }),
      config: CA_CONFIG,
      featureLevel: FEATURE_LEVEL,
      managers,
      refuseRole: (role) => (role === 'manager' ? onlyOneManager() : undefined),
    });
    this.dispatcher = new Dispatcher({
      store: { view: () => store.view(), decide: (decide) => store.decide(decide) },
      managers,
      clock,
      random,
      logger: logger.with({ part: 'dispatcher' }),
      config: DISPATCHER_DEFAULTS,
    });
    this.logBroker = new LogBroker(() => store.view(), random);
    this.#runner = this.#makeRunner();
  }

  /** Recovers the log; resolves when everything that was acknowledged is in the store. Leads from then on. */
  async start(): Promise<void> {
    await this.store.start();
    this.#unsubscribe.push(
      this.store.onCommit((commit, view) => this.dispatcher.observe(commit, view)),
      this.store.onCommit((commit) => this.logBroker.observe(commit)),
      this.store.onCommit((commit, view) => {
        if (commit.events.some(({ table }) => table === 'cluster')) this.#tuneSnapshots(view);
      }),
      this.#log.onLeadership((leadership) => this.#leadershipChanged(leadership)),
    );
    this.#tuneSnapshots(this.store.view());
    this.#leadershipChanged(this.#log.leadership());
  }

  #tuneSnapshots(view: StoreView): void {
    const snapshotEntries = view.cluster()?.spec?.log?.snapshotInterval;
    if (snapshotEntries !== undefined && snapshotEntries > 0) this.#log.tuneSnapshots({ snapshotEntries });
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

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const stop of this.#unsubscribe) stop();
    await this.#stopLeading('the manager is shutting down');
    await this.store.close();
  }

  #makeRunner(): Runner {
    const { clock, logger, random } = this.#options;
    const { metrics } = this;
    return new Runner({
      loops: createLoops({ random }),
      store: this.store,
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
  }

  #leadershipChanged(leadership: Leadership): void {
    if (this.#closed) return;
    switch (leadership.state) {
      case 'leader':
        if (this.#leading) return;
        this.#leading = true;
        this.dispatcher.start(this.store.view());
        this.#runner.start();
        return;
      case 'none':
      case 'follower':
        void this.#stopLeading('this manager does not lead any more');
        return;
      case 'stopped':
        void this.#stopLeading('the log has stopped');
        if (leadership.error !== undefined) this.#options.onFailure(leadership.error);
        return;
    }
  }

  async #stopLeading(why: string): Promise<void> {
    if (!this.#leading) return;
    this.#leading = false;
    this.dispatcher.stop(why);
    this.logBroker.stop(new SwarmError({ code: 'unavailable', reason: 'not-leader', message: why }));
    await this.#runner.stop();
  }
}

/** The log has one member until Raft stands behind its seam. */
function onlyOneManager(): SwarmError {
  return new SwarmError({
    code: 'unimplemented',
    reason: 'not-supported',
    message: 'this release runs a swarm with one manager, and it has one',
    hint: 'join as a worker, with the token of `swarm join-token worker`',
  });
}
