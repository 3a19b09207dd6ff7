/**
 * Whether this host is part of a swarm, and the parts that run because it is. Every transition is in this file:
 *
 *   inactive --init|join--> pending --> active --leave|removed--> leaving --> inactive
 *   start: inactive | active | error (an identity that cannot be used; leave --force ends it)
 */
import { rm } from 'node:fs/promises';
import { SqliteDatabase } from '#agent/database/index.ts';
import {
  dialCa,
  IDENTITY_CONFIG,
  type IdentityStore,
  joinCluster,
  type LoadedIdentity,
} from '#agent/identity/index.ts';
import { SwarmError } from '#common/errors.ts';
import { formatHostPort, type HostPort } from '#common/host-port.ts';
import type { InitSwarmRequest, JoinSwarmRequest } from '#gen/swarm/v1/node.ts';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { bootstrapCluster } from '#manager/ca/index.ts';
import { validateClusterSpec } from '#manager/control/index.ts';
import { advertiseAddress, listenAddress } from './addresses.ts';
import { AgentRole, LOCAL_MANAGER } from './agent-role.ts';
import { type ClusterServer, startClusterServer } from './cluster-server.ts';
import type { DaemonParts } from './daemon-parts.ts';
import { createDataKey, loadDataKey } from './data-key.ts';
import { localBroker, openLocalSession } from './local-manager.ts';
import { ManagerConnections } from './manager-connections.ts';
import { ManagerRole } from './manager-role.ts';
import { FEATURE_LEVEL } from './version.ts';

interface Active {
  readonly kind: 'active';
  readonly identity: LoadedIdentity;
  readonly agent: AgentRole;
  readonly manager: ManagerRole | undefined;
  readonly server: ClusterServer | undefined;
  readonly connections: ManagerConnections;
}

export type MembershipState =
  | { readonly kind: 'inactive' }
  | { readonly kind: 'pending' }
  | Active
  | { readonly kind: 'leaving' }
  | { readonly kind: 'error'; readonly error: SwarmError };

export interface InitResult {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly workerToken: string;
  readonly managerAddress: string;
}

/** Tasks are given this long to end when the node leaves; after that they are killed with their cgroups. */
const LEAVE_TIMEOUT_MS = 60_000;

export class Membership {
  readonly #parts: DaemonParts;
  readonly #store: IdentityStore;
  #state: MembershipState = { kind: 'inactive' };
  /** One transition at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: DaemonParts, store: IdentityStore) {
    this.#parts = parts;
    this.#store = store;
  }

  get state(): MembershipState {
    return this.#state;
  }

  /** The manager of this node. @throws SwarmError `not-a-manager` */
  manager(): ManagerRole {
    const manager = this.#state.kind === 'active' ? this.#state.manager : undefined;
    if (manager === undefined) throw this.#parts.notAManager(this.#state.kind === 'active');
    return manager;
  }

  /** At the start of the daemon: goes on from what is on disk. */
  start(): Promise<void> {
    return this.#transition(async () => {
      try {
        const identity = await this.#store.load(this.#parts.clock.now());
        if (identity === undefined) {
          await this.#parts.executor.recover([]);
          return;
        }
        refuseClone(identity);
        this.#state = { kind: 'pending' };
        this.#state = await this.#activate(identity);
      } catch (thrown) {
        const error = SwarmError.from(thrown);
        this.#parts.logger.error('this node cannot take part in its swarm', { error: error.message, hint: error.hint });
        this.#state = { kind: 'error', error };
      }
    });
  }

  init(request: InitSwarmRequest): Promise<InitResult> {
    return this.#transition(async () => {
      this.requireInactive();
      const listen = listenAddress(request.listenAddress);
      const advertise = advertiseAddress(request.advertiseAddress, listen);
      if (request.spec !== undefined) validateClusterSpec(request.spec);
      this.#state = { kind: 'pending' };
      try {
        const bootstrap = await this.#found(request, listen, advertise);
        this.#state = await this.#activate(await this.#loadIdentity());
        return {
          nodeId: bootstrap.node.id,
          clusterId: bootstrap.cluster.id,
          workerToken: bootstrap.cluster.rootCa?.joinTokens?.worker ?? '',
          managerAddress: formatHostPort(advertise),
        };
      } catch (thrown) {
        await this.#forget();
        throw thrown;
      }
    });
  }

  join(request: JoinSwarmRequest): Promise<LoadedIdentity> {
    return this.#transition(async () => {
      this.requireInactive();
      const listen = listenAddress(request.listenAddress);
      // A worker is known by the address that its manager sees; nothing has to be reachable.
      const advertise =
        request.advertiseAddress === '' ? '' : formatHostPort(advertiseAddress(request.advertiseAddress, listen));
      this.#state = { kind: 'pending' };
      try {
        const { clock, random, logger } = this.#parts;
        await joinCluster({
          store: this.#store,
          token: request.token,
          managers: request.remoteAddresses,
          hostname: this.#parts.hostname,
          availability: request.availability || NodeAvailability.ACTIVE,
          addresses: { listen: formatHostPort(listen), advertise, dataPath: request.dataPathAddress },
          dial: dialCa,
          clock,
          random,
          logger,
          config: IDENTITY_CONFIG,
        });
      } catch (thrown) {
        this.#state = { kind: 'inactive' };
        throw thrown;
      }
      return this.#firstActivation();
    });
  }

  /** From here on this host is a member: what fails now is repaired, not forgotten, or a ghost would stay behind. */
  async #firstActivation(): Promise<LoadedIdentity> {
    try {
      const identity = await this.#loadIdentity();
      this.#state = await this.#activate(identity);
      return identity;
    } catch (thrown) {
      const error = SwarmError.from(thrown);
      this.#state = { kind: 'error', error };
      throw new SwarmError({
        code: error.code,
        reason: error.reason,
        message: `this node has joined, but cannot take part: ${error.message}`,
        hint: `${error.hint ?? 'mend that'}; then restart swarmd, or give up with: swarm leave --force`,
        cause: error,
      });
    }
  }

  /** Leaves the swarm: tasks are ended and removed, the identity is dropped. The last manager takes the swarm along. */
  leave(force: boolean): Promise<void> {
    return this.#transition(async () => {
      const state = this.#state;
      if (state.kind === 'inactive')
        throw new SwarmError({
          code: 'precondition',
          reason: 'not-in-swarm',
          message: 'This node is not part of a swarm',
          hint: 'use `swarm init` or `swarm join`',
        });
      if (state.kind === 'active' && state.manager !== undefined && !force)
        throw new SwarmError({
          code: 'precondition',
          reason: 'needs-force',
          message:
            'You are attempting to leave the swarm on a node that is participating as a manager. Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message.',
          hint: 'add --force to end the swarm',
        });
      if (state.kind === 'error' && !force)
        throw new SwarmError({
          code: 'precondition',
          reason: 'needs-force',
          message: `this node cannot reach its swarm properly: ${state.error.message}`,
          hint: 'add --force to forget the swarm on this node; remove the node on a manager too',
        });
      await this.#leave(state, 'the node has left the swarm', true);
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

  /** Lets go of everything; containers stay. */
  async close(): Promise<void> {
    await this.#turn.catch(() => {});
    if (this.#state.kind === 'active') await this.#deactivate(this.#state);
    this.#state = { kind: 'inactive' };
  }

  #transition<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(run);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** @throws SwarmError `already-in-swarm` */
  requireInactive(): void {
    if (this.#state.kind === 'inactive') return;
    throw new SwarmError({
      code: 'unavailable',
      reason: 'already-in-swarm',
      message: 'This node is already part of a swarm. Use "swarm leave" to leave this swarm and join another one.',
    });
  }

  /** Writes the first objects of a new cluster, then makes this node its first member. */
  async #found(
    request: InitSwarmRequest,
    listen: HostPort,
    advertise: HostPort,
  ): Promise<ReturnType<typeof bootstrapCluster>> {
    const { paths, clock, random } = this.#parts;
    // Only what an init that was interrupted has left: a member has an identity.
    await rm(paths.log, { recursive: true, force: true });
    const bootstrap = bootstrapCluster({
      nowMs: clock.now(),
      random,
      hostname: this.#parts.hostname,
      availability: request.availability || NodeAvailability.ACTIVE,
      featureLevel: FEATURE_LEVEL,
      spec: request.spec,
      defaultAddressPools: request.defaultAddressPools,
      subnetSize: request.subnetSize,
      dataPathPort: request.dataPathPort,
    });
    const { cluster, node, identity } = bootstrap;
    const manager = this.#manager(node.id, await createDataKey(paths.dataKey), () => formatHostPort(advertise));
    try {
      await manager.store.start();
      await manager.store.commit([
        { kind: 'create', table: 'cluster', object: cluster },
        { kind: 'create', table: 'node', object: { ...node, managerStatus: managerStatus(advertise) } },
      ]);
    } finally {
      await manager.close();
    }
    await this.#store.install({
      privateKey: identity.keys.privateKey,
      certificatePem: identity.certificatePem,
      rootPem: identity.rootPem,
      managers: [{ nodeId: node.id, address: formatHostPort(advertise) }],
      addresses: {
        listen: formatHostPort(listen),
        advertise: formatHostPort(advertise),
        dataPath: request.dataPathAddress,
      },
    });
    return bootstrap;
  }

  #manager(nodeId: string, dataKey: Uint8Array, address: () => string): ManagerRole {
    const { paths, clock, random, logger, pinner } = this.#parts;
    return new ManagerRole({
      logDirectory: paths.log,
      dataKey,
      nodeId,
      address,
      images: pinner,
      clock,
      random,
      logger,
      onFailure: (error) => this.#parts.onFailure(error),
    });
  }

  async #loadIdentity(): Promise<LoadedIdentity> {
    const identity = await this.#store.load(this.#parts.clock.now());
    if (identity === undefined)
      throw new SwarmError({ code: 'internal', reason: 'internal', message: 'the identity was not kept' });
    return identity;
  }

  /** Brings up what a member is made of; on failure nothing of it is left running. */
  async #activate(identity: LoadedIdentity): Promise<Active> {
    const { paths } = this.#parts;
    const isManager = identity.identity.role === 'manager';
    const connections = new ManagerConnections(identity, () => identity.tls);
    let manager: ManagerRole | undefined;
    let server: ClusterServer | undefined;
    let agent: AgentRole | undefined;
    try {
      if (isManager) {
        manager = this.#manager(
          identity.identity.nodeId,
          await loadDataKey(paths.dataKey),
          () => identity.addresses.advertise,
        );
        await manager.start();
        server = await startClusterServer({
          address: identity.addresses.listen,
          tls: identity.tls,
          clusterId: identity.identity.clusterId,
          manager: () => this.manager(),
          logger: this.#parts.logger,
        });
      }
      agent = this.#agent(identity, connections, manager);
      const active: Active = { kind: 'active', identity, agent, manager, server, connections };
      await agent.start();
      return active;
    } catch (thrown) {
      await agent?.close().catch(() => {});
      await server?.close();
      await manager?.close();
      connections.close();
      throw thrown;
    }
  }

  #agent(identity: LoadedIdentity, connections: ManagerConnections, manager: ManagerRole | undefined): AgentRole {
    const { paths, executor, describe, clock, random, logger, hostname } = this.#parts;
    const { nodeId } = identity.identity;
    const own = (): ManagerRole => {
      if (manager === undefined) throw this.#parts.notAManager(true);
      return manager;
    };
    return new AgentRole({
      node: { id: nodeId, hostname },
      executor,
      database: new SqliteDatabase(paths.database),
      describe,
      advertiseAddress: () => identity.addresses.advertise.replace(/:\d+$/, ''),
      managers: identity.managers,
      localManager: () => manager !== undefined,
      dial: (address) => (address === LOCAL_MANAGER ? openLocalSession(own, nodeId) : connections.session(address)),
      broker: (address) => (address === LOCAL_MANAGER ? localBroker(own, nodeId) : connections.broker(address)),
      onManagers: (managers) => {
        this.#store.saveManagers(managers).catch((thrown: unknown) => {
          logger.warn('managers could not be remembered', { error: SwarmError.from(thrown).message });
        });
      },
      onRemoved: (message) => this.#removed(message),
      onFailure: (error) => this.#parts.onFailure(error),
      clock,
      random,
      logger,
    });
  }

  #removed(message: string): void {
    this.#parts.logger.warn('this node was removed from the swarm', { message });
    this.#transition(async () => {
      if (this.#state.kind === 'active') await this.#leave(this.#state, message, false);
    }).catch((thrown: unknown) => {
      this.#parts.logger.error('the node could not leave cleanly', { error: SwarmError.from(thrown).message });
    });
  }

  async #leave(state: MembershipState, reason: string, tell: boolean): Promise<void> {
    const { logger } = this.#parts;
    if (state.kind === 'active') {
      this.#state = { kind: 'leaving' };
      if (tell && state.manager === undefined) await state.agent.leave(true, reason);
      else await state.agent.session.close();
      await state.agent.worker.removeAll(AbortSignal.timeout(LEAVE_TIMEOUT_MS)).catch((thrown: unknown) => {
        logger.warn('not every task ended in time', { error: SwarmError.from(thrown).message });
      });
      await this.#deactivate(state);
    }
    await this.#forget();
    // Whatever the worker could not remove belongs to nobody now.
    await this.#parts.executor.recover([]);
  }

  async #deactivate(state: Active): Promise<void> {
    await state.agent.close();
    await state.server?.close();
    await state.manager?.close();
    state.connections.close();
  }

  /** Removes what makes this host a member; what is left is a host that can be initialised or joined. */
  async #forget(): Promise<void> {
    const { paths } = this.#parts;
    await this.#store.remove();
    for (const path of [paths.log, paths.dataKey, paths.database, `${paths.database}-wal`, `${paths.database}-shm`])
      await rm(path, { recursive: true, force: true });
    this.#state = { kind: 'inactive' };
  }
}

function managerStatus(advertise: HostPort): { leader: boolean; reachable: boolean; address: string } {
  return { leader: true, reachable: true, address: formatHostPort(advertise) };
}

/** Two hosts with one identity would take each other's tasks. */
function refuseClone(identity: LoadedIdentity): void {
  if (identity.home.kind !== 'other-machine') return;
  throw new SwarmError({
    code: 'precondition',
    reason: 'corrupt-state',
    message: `the state directory belongs to another machine: ${identity.home.message}`,
    hint: 'on a clone: `swarm leave --force`, then join with a token',
  });
}
