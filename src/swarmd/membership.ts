/**
 * Whether this host is part of a swarm, and the parts that run because it is. Every transition is in this file:
 *
 *   inactive --init|join|restore--> pending --> active --leave|removed--> leaving --> inactive
 *   leaving is written down first: a start that finds it goes on with it, and so does this run until all is forgotten
 *   start: inactive | active | error (an identity that cannot be used; leave --force ends it)
 *   start: locked, where the keys are encrypted --unlock--> as at any start; leave --force ends it, too
 *   error, of a full disk or a wrong clock --there is room, the certificate holds--> active
 *   active, worker <--promoted|demoted--> active, manager      the agent and its containers go on
 *   active, manager --force-new-cluster--> active, only manager
 *
 * Whether the manager part of an active node serves is a matter of its own: see ManagerPart.
 */

import type { IdentityStore, LoadedIdentity } from '#agent/identity/index.ts';
import { backoffDelay } from '#common/backoff.ts';
import type { CancelTimer } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { formatHostPort } from '#common/host-port.ts';
import type { InitSwarmRequest, JoinSwarmRequest } from '#gen/swarm/v1/node.ts';
import type { RestoreOptions, RestoreSwarmResponse } from '#gen/swarm/v1/snapshot.ts';
import { unlockKeyOf, validateClusterSpec } from '#manager/control/index.ts';
import { ActiveNode } from './active-node.ts';
import { advertiseAddress, listenAddress, replacedAddresses } from './addresses.ts';
import { DAEMON_CONFIG, type DaemonConfig } from './config.ts';
import type { DaemonParts } from './daemon-parts.ts';
import type { Departure } from './departure.ts';
import { Departures } from './departures.ts';
import { goOnAlone } from './forced-cluster.ts';
import { forgetLog } from './forget-log.ts';
import { foundCluster } from './found-cluster.ts';
import { joinSwarm } from './join-swarm.ts';
import { forgetLeftovers, forgetMembership } from './leave-swarm.ts';
import { mayPass } from './manager-part.ts';
import {
  alreadyInSwarm,
  cannotServe,
  foundedSlowly,
  joinedWithout,
  leaveRefusal,
  leavingGoesOn,
  notForcible,
  refuseClone,
  stillLeaving,
} from './membership-errors.ts';
import type { MembershipState } from './membership-state.ts';
import { refuseBesideOthers } from './other-managers.ts';
import { type PassingProblem, passingProblem } from './passing-problem.ts';
import { readSaved, restoreCluster } from './restore-cluster.ts';
import { RoleChange } from './role-change.ts';
import { Unlocking, unlockedWithout } from './unlocking.ts';

export interface InitResult {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly workerToken: string;
  readonly managerAddress: string;
  /** Empty when managers are not locked automatically. */
  readonly unlockKey: string;
}

interface Founded {
  /** What the operator should know. */
  readonly warnings: readonly string[];
}

export interface JoinResult {
  readonly identity: LoadedIdentity;
  readonly warnings: readonly string[];
}

export class Membership {
  readonly #parts: DaemonParts;
  readonly #store: IdentityStore;
  readonly #config: DaemonConfig;
  readonly #departures: Departures;
  readonly #unlocking: Unlocking;
  #state: MembershipState = { kind: 'inactive' };
  /** One transition at a time. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Of the node that is active, or about to be. */
  #roleChange: RoleChange | undefined;
  /** Set while something is in the way of forgetting the swarm that was left. */
  #leavingRetry: CancelTimer | undefined;
  #leavingFailures = 0;
  /** Set while something is in the way of this node that may pass. */
  #passingCheck: CancelTimer | undefined;
  #closed = false;

  constructor(parts: DaemonParts, store: IdentityStore, config: DaemonConfig = DAEMON_CONFIG) {
    this.#parts = parts;
    this.#store = store;
    this.#config = config;
    this.#departures = new Departures(parts, store, config);
    this.#unlocking = new Unlocking(parts, store, config);
  }

  get state(): MembershipState {
    return this.#state;
  }

  /** Why this host is in no swarm any more; undefined where it was in none, or is in one. */
  get departure(): Departure | undefined {
    return this.#state.kind === 'inactive' ? this.#departures.last : undefined;
  }

  /** The manager of this node. @throws SwarmError `not-a-manager`, or why the manager part does not serve */
  manager(): ReturnType<NonNullable<ActiveNode['managerPart']>['manager']> {
    if (this.#state.kind === 'error') throw cannotServe(this.#state.error);
    if (this.#state.kind === 'locked') throw this.#state.error;
    const part = this.#state.kind === 'active' ? this.#state.managerPart : undefined;
    if (part === undefined) throw this.#parts.notAManager(this.#state.kind === 'active');
    return part.manager();
  }

  /** At the start of the daemon: goes on from what is on disk. @throws SwarmError `bad-flag` for an address of the command line */
  start(): Promise<void> {
    return this.#transition(async () => {
      try {
        if (await this.#departures.begun()) this.#goOnLeavingLater();
        else await this.#goOn();
      } catch (thrown) {
        const error = SwarmError.from(thrown);
        if (error.reason === 'bad-flag') throw error;
        await this.#failed(error);
      }
    });
  }

  async #goOn(): Promise<void> {
    const identity = await this.#store.load(this.#parts.clock.now(), { expiredManager: true });
    if (identity === undefined) {
      await this.#parts.executor.recover([]);
      // Of an init or a departure that was interrupted.
      await forgetLeftovers(this.#parts.paths);
      return;
    }
    refuseClone(identity);
    await this.#replaceAddresses(identity, this.#parts.addresses);
    await this.#activate();
  }

  /** This node cannot take part. What may pass by itself is looked at from time to time. */
  async #failed(thrown: SwarmError): Promise<SwarmError> {
    const { logger } = this.#parts;
    if (thrown.reason === 'locked') {
      logger.warn('this manager is locked: its keys are encrypted', { hint: thrown.hint });
      this.#state = { kind: 'locked', error: thrown };
      return thrown;
    }
    const passing = await passingProblem(thrown, this.#parts, this.#store);
    const error = passing?.error ?? thrown;
    logger.error('this node cannot take part in its swarm', { error: error.message, hint: error.hint });
    this.#state = { kind: 'error', error };
    if (passing !== undefined) this.#startWhenOver(passing, 0);
    return error;
  }

  /** `swarm unlock`: the keys are opened, then this node goes on as at any start. @throws SwarmError `wrong-key` */
  unlock(key: string): Promise<void> {
    return this.#unlocking.attempt(() =>
      this.#transition(async () => {
        await this.#unlocking.open(this.#state, key);
        this.#state = { kind: 'pending' };
        try {
          await this.#goOn();
        } catch (thrown) {
          throw unlockedWithout(await this.#failed(SwarmError.from(thrown)));
        }
      }),
    );
  }

  /** Why the keys of this manager are not on its disk as the cluster wants them, after some patience. */
  async keysSettled(): Promise<SwarmError | undefined> {
    if (this.#state.kind !== 'active') return undefined;
    return this.#state.managerPart?.keysSettled(this.#config.keysPatienceMs);
  }

  #startWhenOver(problem: PassingProblem, attempt: number): void {
    const { clock, random, logger } = this.#parts;
    if (this.#closed) return;
    this.#passingCheck?.();
    this.#passingCheck = clock.setTimer(backoffDelay(this.#config.passingRetry, attempt, random), () => {
      this.#transition(async () => {
        if (this.#state.kind !== 'error' || this.#closed) return;
        if (!(await problem.isOver())) {
          this.#startWhenOver(problem, attempt + 1);
          return;
        }
        logger.info(problem.words);
        try {
          await this.#goOn();
        } catch (again) {
          await this.#failed(SwarmError.from(again));
        }
      }).catch(() => {}); // told by `#failed`
    });
  }

  init(request: InitSwarmRequest): Promise<InitResult & Founded> {
    return this.#founding(async () => {
      const listen = listenAddress(request.listenAddress || this.#parts.addresses.listen);
      const advertise = advertiseAddress(request.advertiseAddress || this.#parts.addresses.advertise, listen);
      if (request.spec !== undefined) validateClusterSpec(request.spec);
      this.#state = { kind: 'pending' };
      const { node, cluster } = await foundCluster(this.#parts, this.#store, { request, listen, advertise });
      return {
        nodeId: node.id,
        clusterId: cluster.id,
        workerToken: cluster.rootCa?.joinTokens?.worker ?? '',
        managerAddress: formatHostPort(advertise),
        unlockKey: unlockKeyOf(cluster),
        warnings: [],
      };
    });
  }

  /** `swarm snapshot restore`: nothing on this host is touched before all of the file was verified. */
  async restore(options: RestoreOptions, file: AsyncIterable<Uint8Array>): Promise<RestoreSwarmResponse> {
    this.requireInactive();
    const saved = await readSaved(this.#parts, options, file);
    return this.#founding(async () => {
      const listen = listenAddress(options.listenAddress || this.#parts.addresses.listen);
      const advertise = advertiseAddress(options.advertiseAddress || this.#parts.addresses.advertise, listen);
      this.#state = { kind: 'pending' };
      const addresses = { listen, advertise, dataPath: options.dataPathAddress };
      return restoreCluster(this.#parts, this.#store, saved, addresses);
    });
  }

  /** `swarm init --force-new-cluster`: this manager goes on alone with the state that it has. */
  forceNewCluster(request: InitSwarmRequest): Promise<InitResult> {
    return this.#transition(async () => {
      const active = this.#state;
      if (active.kind !== 'active' || active.managerPart === undefined) throw notForcible(active);
      const { listenAddress: listen, advertiseAddress: advertise } = request;
      const { managerPatienceMs: patienceMs } = this.#config;
      await refuseBesideOthers(active, patienceMs);
      await this.#replaceAddresses(active.identity, { listen, advertise });
      const { paths } = this.#parts;
      const manager = await goOnAlone(active, { paths, load: () => this.#loadIdentity(), patienceMs });
      const cluster = manager.store.view().cluster();
      return {
        nodeId: manager.nodeId,
        clusterId: active.identity.identity.clusterId,
        workerToken: cluster?.rootCa?.joinTokens?.worker ?? '',
        managerAddress: active.identity.addresses.advertise,
        unlockKey: '',
      };
    });
  }

  join(request: JoinSwarmRequest): Promise<JoinResult> {
    return this.#transition(async () => {
      this.requireInactive();
      this.#state = { kind: 'pending' };
      let warnings: readonly string[] = [];
      try {
        await this.#departures.setAside();
        warnings = await joinSwarm(this.#parts, this.#store, request);
      } catch (thrown) {
        if (!(await this.#isMember())) {
          this.#state = { kind: 'inactive' };
          await this.#departures.putBack();
          throw thrown;
        }
        this.#parts.logger.warn('what a join leaves over is still there', { error: SwarmError.from(thrown).message });
      }
      return { identity: await this.#joined(), warnings };
    });
  }

  /** Whether the identity is there, which is what makes this host a member. */
  #isMember(): Promise<boolean> {
    return this.#store.exists().catch(() => false);
  }

  /** From here on this host is a member: what fails now is repaired, not forgotten, or a ghost would stay behind. */
  async #joined(): Promise<LoadedIdentity> {
    try {
      const active = await this.#activate();
      const problem = await active.managerPart?.settled(this.#config.managerPatienceMs);
      if (problem !== undefined) throw joinedWithout(problem, 'manager');
      return active.identity;
    } catch (thrown) {
      if (this.#state.kind === 'active') throw thrown;
      const error = SwarmError.from(thrown);
      throw joinedWithout(await this.#failed(error), 'agent');
    }
  }

  /**
   * Leaves the swarm: tasks are ended and removed, managers told, everything forgotten but who this host was. The last
   * manager takes the swarm along. Resolves with what the operator should know.
   */
  leave(force: boolean): Promise<readonly string[]> {
    return this.#transition(async () => {
      if (this.#state.kind === 'leaving') return this.#goOnLeaving();
      const refusal = leaveRefusal(this.#state, force);
      if (refusal !== undefined) throw refusal;
      return this.#leave('the node has left the swarm', false);
    });
  }

  /** The host goes down: managers are told, tasks end in order. The node stays a member. */
  async stopTasks(reason: string, timeoutMs: number): Promise<{ stopped: number; left: number }> {
    const state = this.#state;
    if (state.kind !== 'active') return { stopped: 0, left: 0 };
    const before = state.agent.worker.runningCount();
    await state.agent.leave(false, reason);
    await state.agent.worker.stopAll(AbortSignal.timeout(timeoutMs)).catch((thrown: unknown) => {
      this.#parts.logger.warn('not every task ended in time', { error: SwarmError.from(thrown).message });
    });
    const left = state.agent.worker.runningCount();
    return { stopped: before - left, left };
  }

  /** A leader hands over, so that nobody waits for an election when this daemon ends. */
  async handOver(): Promise<void> {
    if (this.#state.kind === 'active') await this.#state.managerPart?.handOver();
  }

  /** Lets go of everything; containers stay. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#roleChange?.close();
    this.#passingCheck?.();
    this.#leavingRetry?.();
    // Ends what a transition may be waiting for.
    this.#departures.close();
    if (this.#state.kind === 'active') this.#state.certificate.close();
    if (this.#state.kind === 'active') await this.#state.managerPart?.close();
    await this.#turn.catch(() => {});
    if (this.#state.kind === 'active') await this.#state.close();
    this.#state = { kind: 'inactive' };
  }

  #transition<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(run);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** For what changes the identity of an active node. Rejects when it is none any more by then. */
  #turnOf<T>(active: ActiveNode, run: () => Promise<T>): Promise<T> {
    return this.#transition(() => {
      if (this.#state === active && !this.#closed) return run();
      throw new SwarmError({ code: 'cancelled', reason: 'cancelled', message: 'this node is no member any more' });
    });
  }

  /** @throws SwarmError `already-in-swarm` */
  requireInactive(): void {
    if (this.#state.kind === 'inactive') return;
    if (this.#state.kind === 'locked') throw this.#state.error;
    if (this.#state.kind === 'leaving') throw stillLeaving(this.#state.error);
    throw alreadyInSwarm();
  }

  /** Makes this host the first manager of a swarm, or leaves nothing. A manager that is merely slow goes on. */
  #founding<T extends Founded>(found: () => Promise<T>): Promise<T> {
    return this.#transition(async () => {
      this.requireInactive();
      try {
        await this.#departures.setAside();
        const result = await found();
        const active = await this.#activate();
        const problem = await active.managerPart?.settled(this.#config.managerPatienceMs);
        if (problem === undefined) return result;
        if (!mayPass(problem)) throw problem;
        return { ...result, warnings: [...result.warnings, foundedSlowly(problem)] };
      } catch (thrown) {
        await this.#unfound();
        throw thrown;
      }
    });
  }

  /** Nothing stays of a swarm that was not founded. */
  async #unfound(): Promise<void> {
    const { logger } = this.#parts;
    if (this.#state.kind === 'active')
      await this.#state.close().catch((thrown: unknown) => {
        logger.warn('not everything was closed in order', { error: SwarmError.from(thrown).message });
      });
    try {
      await forgetMembership(this.#parts, this.#store, 'dropped');
      this.#state = { kind: 'inactive' };
      await this.#departures.putBack();
    } catch (thrown) {
      await this.#failed(SwarmError.from(thrown));
    }
  }

  async #loadIdentity(): Promise<LoadedIdentity> {
    const identity = await this.#store.load(this.#parts.clock.now(), { expiredManager: true });
    if (identity === undefined)
      throw new SwarmError({ code: 'internal', reason: 'internal', message: 'the identity was not kept' });
    return identity;
  }

  /** Takes over the addresses that are given, if any are. */
  async #replaceAddresses(identity: LoadedIdentity, given: { listen: string; advertise: string }): Promise<void> {
    if (given.listen === '' && given.advertise === '') return;
    const replaced = replacedAddresses(identity.addresses, given);
    await this.#store.saveAddresses({ ...identity.addresses, ...replaced });
  }

  /** Brings up what a member is made of; on failure nothing of it is left running. */
  async #activate(): Promise<ActiveNode> {
    this.#state = { kind: 'pending' };
    const active = new ActiveNode(
      {
        parts: this.#parts,
        config: this.#config,
        store: this.#store,
        turn: (node, run) => this.#turnOf(node, run),
        onNode: () => this.#roleChange?.look(),
        onRemoved: (message) => this.#removed(message),
      },
      await this.#loadIdentity(),
    );
    this.#roleChange?.close();
    this.#roleChange = this.#roleChangeOf(active);
    await active.start();
    this.#departures.over();
    this.#state = active;
    this.#roleChange.look();
    return active;
  }

  #roleChangeOf(active: ActiveNode): RoleChange {
    const { clock, random, logger, paths } = this.#parts;
    return new RoleChange({
      isActive: () => this.#state === active && !this.#closed,
      told: () => active.agent.node,
      role: () => active.identity.identity.role,
      renew: () => active.certificate.renewNow(),
      hasManager: () => active.managerPart !== undefined,
      startManager: () => void active.startManager(),
      stopManager: () => active.stopManager(),
      forgetLog: () => forgetLog(paths),
      turn: (run) => this.#turnOf(active, run),
      retry: this.#config.roleRetry,
      clock,
      random,
      logger,
    });
  }

  #removed(message: string): void {
    this.#parts.logger.warn('this node was removed from the swarm', { message });
    this.#transition(async () => {
      if (this.#state.kind === 'active') await this.#leave(message, true);
    }).catch((thrown: unknown) => {
      this.#parts.logger.error('the node could not leave cleanly', { error: SwarmError.from(thrown).message });
    });
  }

  #leave(message: string, removed: boolean): Promise<readonly string[]> {
    const active = this.#state.kind === 'active' ? this.#state : undefined;
    const decided = (): void => {
      this.#state = { kind: 'leaving', error: undefined };
    };
    return this.#leaving(() => this.#departures.leave({ active, message, removed, decided }));
  }

  /** Managers may be out of reach for a while yet: nobody should have to wait for the daemon meanwhile. */
  #goOnLeavingLater(): void {
    this.#state = { kind: 'leaving', error: undefined };
    void this.#transition(() => this.#goOnLeaving()).catch(() => {}); // told there
  }

  #goOnLeaving(): Promise<readonly string[]> {
    return this.#leaving(() => this.#departures.goOn());
  }

  /** Once it is decided there is no way back: what fails then is tried again until this host is in no swarm. */
  async #leaving(run: () => Promise<readonly string[]>): Promise<readonly string[]> {
    this.#leavingRetry?.();
    try {
      const warnings = await run();
      this.#state = { kind: 'inactive' };
      this.#leavingFailures = 0;
      return warnings;
    } catch (thrown) {
      const error = SwarmError.from(thrown);
      if (this.#state.kind !== 'leaving' || this.#closed) throw error;
      this.#state = { kind: 'leaving', error };
      const { clock, logger, random } = this.#parts;
      logger.warn('what this host has of the swarm that it leaves is not forgotten yet', { error: error.message });
      const delayMs = backoffDelay(this.#config.forgetRetry, this.#leavingFailures++, random);
      this.#leavingRetry = clock.setTimer(delayMs, () => {
        this.#transition(async () => {
          if (this.#state.kind === 'leaving' && !this.#closed) await this.#goOnLeaving();
        }).catch(() => {}); // told here
      });
      throw leavingGoesOn(error);
    }
  }
}
