/** What an agent is made of, put together: database, worker, session, log publisher. */
import { type AgentDatabase } from '#agent/database/index.ts';
import type { Describe } from '#agent/describe/index.ts';
import { DISCOVERY_RETRY, Discovery, type NetworkApplier } from '#agent/discovery/index.ts';
import type { Executor } from '#agent/executor/index.ts';
import type { NetworkDoctor } from '#agent/network/index.ts';
import { type BrokerConnection, type BrokerLink, LogPublisher } from '#agent/publisher/index.ts';
import { type DispatcherStream, SESSION_DEFAULTS, Session } from '#agent/session/index.ts';
import type { NodeVolumes } from '#agent/volumes/index.ts';
import { bootTimeMs, DisconnectGuard, readBootClock, WORKER_DEFAULTS, Worker } from '#agent/worker/index.ts';
import type { Clock } from '#common/clock.ts';
import type { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { type Random, randomInt } from '#common/random.ts';
import type { ManagerPeer, Node } from '#gen/swarm/v1/objects.ts';

export interface AgentOptions {
  readonly node: { readonly id: string; readonly hostname: string };
  readonly executor: Executor;
  /** What follows the tables of networks on this node. */
  readonly appliers: readonly NetworkApplier[];
  /** Looks at the networks of this node; undefined where there are none. */
  readonly networkDoctor: NetworkDoctor | undefined;
  /** The named volumes of this node; undefined where there are none. */
  readonly volumes: NodeVolumes | undefined;
  readonly database: AgentDatabase;
  readonly describe: Describe;
  readonly advertiseAddress: () => string;
  /** Managers as they were known at the last stop; the first one is tried first. */
  readonly managers: readonly ManagerPeer[];
  /** This node's own manager, preferred to all others; undefined on a worker. */
  readonly localManager: () => boolean;
  readonly dial: (address: string) => DispatcherStream;
  readonly broker: (address: string) => BrokerConnection;
  readonly onManagers: (managers: readonly ManagerPeer[]) => void;
  /** The node's object, at the start of every session and when it changes. */
  readonly onNode: (node: Node) => void;
  /** Roots that the node is to trust, PEM. */
  readonly onTrustedRoots: (pem: Uint8Array) => void;
  /** How long certificates hold that are issued now. */
  readonly onCertExpiry: (expiryMs: number) => void;
  readonly onRemoved: (message: string) => void;
  readonly onFailure: (error: SwarmError) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Stands for this node's own manager where an address is expected. */
export const LOCAL_MANAGER = 'local';

export class AgentRole {
  readonly worker: Worker;
  readonly session: Session;
  readonly discovery: Discovery;
  readonly #publisher: LogPublisher;
  #guard: DisconnectGuard | undefined;
  readonly #options: AgentOptions;
  #managers: readonly ManagerPeer[];
  #node: Node | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#managers = options.managers;
    const { clock, random, logger, node, networkDoctor, volumes } = options;
    this.worker = new Worker({
      executor: options.executor,
      database: options.database,
      clock,
      random,
      logger: logger.with({ part: 'worker' }),
      config: WORKER_DEFAULTS,
      node,
      overdue: (assignment) => this.#guard?.overdue(assignment),
      onStatus: (taskId, status) => this.session.report(taskId, status),
      onFailure: options.onFailure,
    });
    this.discovery = new Discovery({
      appliers: options.appliers,
      database: options.database,
      acknowledge: (applied) => this.session.confirmNetworks(applied),
      clock,
      random,
      logger: logger.with({ part: 'discovery' }),
      retry: DISCOVERY_RETRY,
    });
    this.session = new Session({
      dial: options.dial,
      managers: () => this.#addresses(),
      addressOf: (manager) => this.#addressOf(manager),
      describe: options.describe,
      advertiseAddress: options.advertiseAddress,
      statuses: () => this.worker.statuses(),
      apply: (step) => {
        volumes?.apply(step.changes);
        return this.worker.apply(step);
      },
      onManagers: (managers) => this.#managersChanged(managers),
      onNode: (changed) => {
        this.#node = changed;
        options.onNode(changed);
      },
      onTrustedRoots: options.onTrustedRoots,
      onCertExpiry: options.onCertExpiry,
      onNetworks: (changes) => this.discovery.receive(changes),
      checkNetworks: networkDoctor && ((check) => networkDoctor.examine(check, this.discovery)),
      reportVolumes: volumes && ((send) => volumes.begin(send)),
      signs: { nowMs: bootTimeMs, heard: (atMs) => this.#guard?.heard(atMs) },
      onEstablished: () => {
        this.discovery.sessionBegan();
        this.#publisher.connected();
      },
      onRemoved: options.onRemoved,
      clock,
      random,
      logger: logger.with({ part: 'session' }),
      config: SESSION_DEFAULTS,
    });
    this.#publisher = new LogPublisher({
      connect: () => this.#connectBroker(),
      executor: options.executor,
      serviceOf: (taskId) => this.#serviceOf(taskId),
      nodeId: node.id,
      clock,
      random,
      logger: logger.with({ part: 'logs' }),
    });
  }

  get managers(): readonly ManagerPeer[] {
    return this.#managers;
  }

  /** The node's object as a manager last told it. */
  get node(): Node | undefined {
    return this.#node;
  }

  /** Adopts what lives, brings back the networks as they were known, then looks for a manager. */
  async start(): Promise<void> {
    const { database, clock, logger } = this.#options;
    const { networks, settings } = await database.load();
    this.#guard = new DisconnectGuard({
      assignments: () => this.worker.assignments(),
      stop: (taskId, reason) => this.worker.stop(taskId, reason),
      database,
      clock,
      bootClock: await readBootClock(),
      logger: logger.with({ part: 'guard' }),
      config: WORKER_DEFAULTS,
    });
    this.#guard.start(settings);
    await this.worker.start();
    await this.discovery.restore(networks);
    this.session.start();
    this.#publisher.start();
  }

  /** Lets go; containers stay. */
  async close(): Promise<void> {
    this.#guard?.close();
    await Promise.all([this.session.close(), this.#publisher.close()]);
    await Promise.all([this.worker.close(), this.discovery.close()]);
    await this.#options.database.close();
  }

  /** Tells the manager that the node goes, and why. */
  async leave(removed: boolean, reason: string): Promise<void> {
    await this.session.leave(removed, reason);
  }

  /** The own manager first, then the others from a random one on, so that nodes do not all turn to the same. */
  #addresses(): readonly string[] {
    const { node, random, localManager } = this.#options;
    const others = this.#managers.filter((manager) => manager.nodeId !== node.id).map(({ address }) => address);
    const from = randomInt(random, Math.max(1, others.length));
    const rotated = [...others.slice(from), ...others.slice(0, from)];
    return localManager() ? [LOCAL_MANAGER, ...rotated] : rotated;
  }

  #addressOf(manager: ManagerPeer): string {
    const { node, localManager } = this.#options;
    return manager.nodeId === node.id && localManager() ? LOCAL_MANAGER : manager.address;
  }

  #managersChanged(managers: readonly ManagerPeer[]): void {
    if (managers.length === 0) return; // a manager that knows of none is no reason to forget those we know
    const before = JSON.stringify(this.#managers);
    this.#managers = managers;
    if (JSON.stringify(managers) !== before) this.#options.onManagers(managers);
  }

  #connectBroker(): BrokerLink | undefined {
    const { link } = this.session;
    return link === undefined ? undefined : { broker: this.#options.broker(link.address), ended: link.ended };
  }

  #serviceOf(taskId: string): string {
    return this.worker.assignments().find((assignment) => assignment.task.id === taskId)?.task.serviceId ?? '';
  }
}
