/** What runs on a host because it is a member of a swarm: the agent always, the manager part by role. */
import { PatientDatabase, SqliteDatabase } from '#agent/database/index.ts';
import { dialCa, type IdentityStore, type LoadedIdentity, RENEWAL_CONFIG } from '#agent/identity/index.ts';
import type { DispatcherStream } from '#agent/session/index.ts';
import { SwarmError } from '#common/errors.ts';
import type { ContainerService } from '#gen/swarm/v1/containers.ts';
import type { Node } from '#gen/swarm/v1/objects.ts';
import type { Client } from '#proto/grpc/methods.ts';
import { hostOf } from './addresses.ts';
import { AgentRole, LOCAL_MANAGER } from './agent-role.ts';
import type { DaemonConfig } from './config.ts';
import type { DaemonParts } from './daemon-parts.ts';
import { forgetLog } from './forget-log.ts';
import { localAuthority } from './local-authority.ts';
import { localBroker, openLocalSession } from './local-manager.ts';
import { ManagerConnections } from './manager-connections.ts';
import { ManagerKeys } from './manager-keys.ts';
import { ManagerPart } from './manager-part.ts';
import type { ManagerRole } from './manager-role.ts';
import { NodeCertificate } from './node-certificate.ts';
import { NodeIdentity } from './node-identity.ts';
import { sourceAddressTo } from './source-address.ts';

export interface ActiveNodeOptions {
  readonly parts: DaemonParts;
  readonly config: DaemonConfig;
  readonly store: IdentityStore;
  /** Runs when it is its turn among the changes of this membership; rejects when this node has ended meanwhile. */
  readonly turn: <T>(active: ActiveNode, run: () => Promise<T>) => Promise<T>;
  /** A manager has told the node's object. */
  readonly onNode: (node: Node) => void;
  /** The node was removed from the swarm. */
  readonly onRemoved: (message: string) => void;
}

export class ActiveNode {
  readonly kind = 'active';
  readonly agent: AgentRole;
  readonly certificate: NodeCertificate;
  readonly #options: ActiveNodeOptions;
  readonly #identity: NodeIdentity;
  readonly #connections: ManagerConnections;
  #part: ManagerPart | undefined;

  constructor(options: ActiveNodeOptions, loaded: LoadedIdentity) {
    this.#options = options;
    this.#identity = new NodeIdentity(loaded);
    this.#connections = new ManagerConnections(loaded, this.#identity.tls);
    this.certificate = this.#makeCertificate();
    this.agent = this.#makeAgent();
  }

  /** As it is now: the certificate changes with the role. */
  get identity(): LoadedIdentity {
    return this.#identity.current;
  }

  get nodeIdentity(): NodeIdentity {
    return this.#identity;
  }

  /** The manager of this node, when it serves. */
  get manager(): ManagerRole | undefined {
    return this.#part?.serving;
  }

  /** Why the manager that this node should have does not serve. */
  get managerProblem(): SwarmError | undefined {
    return this.#part?.problem;
  }

  /** Whether the cluster's port is served. */
  get serving(): boolean {
    return this.#part?.listening === true;
  }

  get managerPart(): ManagerPart | undefined {
    return this.#part;
  }

  /** Addresses of the managers that this node knows beside itself. */
  otherManagers(): readonly string[] {
    const { nodeId } = this.#identity;
    const own = this.#identity.addresses.advertise;
    return this.agent.managers
      .filter((manager) => manager.nodeId !== nodeId && manager.address !== own)
      .map(({ address }) => address);
  }

  /**
   * The manager that this node's session is with, as this node calls it.
   * @throws SwarmError `connection-failed` while there is no session
   */
  containersAtManager(): Client<typeof ContainerService> {
    const { link, lastError } = this.agent.session;
    if (link !== undefined && link.address !== LOCAL_MANAGER) return this.#connections.containers(link.address);
    throw new SwarmError({
      code: 'unavailable',
      reason: 'connection-failed',
      message: `this node has no session with a manager${lastError === undefined ? '' : `: ${lastError.message}`}`,
      hint: 'try again in a moment; `swarm info` says what is wrong',
    });
  }

  /** Brings up what the certificate's role asks for. The manager gets a head start; the agent does not depend on it. */
  async start(): Promise<void> {
    try {
      if (this.#identity.role === 'manager') {
        this.startManager();
        await this.#part?.settled(this.#options.config.managerHeadStartMs);
      } else {
        // A demotion may have been interrupted after the certificate had changed.
        await forgetLog(this.#options.parts.paths);
      }
      const { networks } = this.#options.parts;
      await networks.join({ nodeId: this.#identity.nodeId, address: () => this.#dataPathAddress() });
      await this.agent.start();
      this.certificate.start();
    } catch (thrown) {
      await this.close().catch(() => {});
      throw thrown;
    }
  }

  /** Where other nodes send packets of networks; empty where it cannot be told. */
  async #dataPathAddress(): Promise<string> {
    const { dataPath, advertise } = this.#identity.addresses;
    const given = this.#options.parts.dataPathAddress ?? (dataPath || hostOf(advertise));
    if (given !== '') return given;
    // A worker need not be told its address: managers know it by the one that they see.
    for (const manager of this.otherManagers()) {
      const seen = await sourceAddressTo(hostOf(manager));
      if (seen !== undefined) return seen;
    }
    return '';
  }

  /** Begins to bring up the manager part; nothing happens when it is there. */
  startManager(): ManagerPart {
    const { parts, config, store } = this.#options;
    if (this.#part !== undefined) return this.#part;
    const part = new ManagerPart({
      parts,
      config,
      identity: this.#identity,
      keys: new ManagerKeys(store.keys, parts.paths.dataKey),
      renew: () => this.certificate.renewNow(),
      turn: (run) => this.#options.turn(this, run),
      others: () => this.otherManagers(),
      onAddress: async (advertise) => {
        const addresses = { ...this.#identity.addresses, advertise };
        await store.saveAddresses(addresses);
        this.#identity.setAddresses(addresses);
      },
    });
    this.#part = part;
    part.start();
    return part;
  }

  /** Closes the manager part. The agent goes on with another manager. It is none any more also when this rejects. */
  async stopManager(): Promise<void> {
    const part = this.#part;
    try {
      await part?.close();
    } finally {
      if (this.#part === part) this.#part = undefined;
    }
  }

  /** The node has another certificate, or trusts other roots. */
  replaceIdentity(loaded: LoadedIdentity): void {
    const before = this.#identity.current;
    this.#identity.replace(loaded);
    if (before.identity.role !== loaded.identity.role) this.#connections.roleChanged();
    this.certificate.replaced();
    this.agent.session.redescribe().catch((thrown: unknown) => {
      this.#options.parts.logger.warn('the node cannot describe itself', { error: SwarmError.from(thrown).message });
    });
  }

  #openSession(address: string): DispatcherStream {
    const isHere = address === LOCAL_MANAGER;
    this.certificate.sessionOpens(isHere ? 'here' : 'elsewhere');
    return isHere ? openLocalSession(this.#ownManager, this.#identity.nodeId) : this.#connections.session(address);
  }

  /** Lets go of everything, also where a step of it fails; containers stay. Rejects with the first failure. */
  async close(): Promise<void> {
    this.certificate.close();
    const failures: unknown[] = [];
    for (const step of [() => this.#part?.handOver(), () => this.agent.close(), () => this.stopManager()])
      try {
        await step();
      } catch (thrown) {
        failures.push(thrown);
      }
    this.#connections.close();
    if (failures.length > 0) throw SwarmError.from(failures[0]);
  }

  readonly #ownManager = (): ManagerRole => {
    if (this.#part === undefined) throw this.#options.parts.notAManager(true);
    return this.#part.manager();
  };

  #makeCertificate(): NodeCertificate {
    const { parts, store, turn } = this.#options;
    return new NodeCertificate({
      parts,
      store,
      config: RENEWAL_CONFIG,
      current: () => this.#identity.current,
      replace: (loaded) => this.replaceIdentity(loaded),
      turn: (run) => turn(this, run),
      managers: () => ({ own: this.manager === undefined ? undefined : LOCAL_MANAGER, others: this.otherManagers() }),
      dial: (address, trust, signal) =>
        address === LOCAL_MANAGER
          ? localAuthority(this.#ownManager, this.#identity.current.identity, parts.clock, signal)
          : dialCa(address, trust, signal),
      session: () => this.agent.session,
    });
  }

  #makeAgent(): AgentRole {
    const { parts, store, onNode, onRemoved } = this.#options;
    const { paths, executor, networkAppliers, networkDoctor, volumes, describe, clock, random, logger, hostname } =
      parts;
    const identity = this.#identity;
    const { nodeId } = identity;
    const connections = this.#connections;
    const own = this.#ownManager;
    return new AgentRole({
      node: { id: nodeId, hostname },
      executor,
      appliers: networkAppliers,
      networkDoctor,
      volumes,
      database: new PatientDatabase({ database: new SqliteDatabase(paths.database), clock, random, logger }),
      describe: async () => ({ ...(await describe()), tls: this.certificate.described() }),
      advertiseAddress: () => hostOf(identity.addresses.advertise),
      managers: identity.current.managers,
      localManager: () => this.#part?.serving !== undefined,
      dial: (address) => this.#openSession(address),
      broker: (address) => (address === LOCAL_MANAGER ? localBroker(own, nodeId) : connections.broker(address)),
      onManagers: (managers) => {
        store.saveManagers(managers).catch((thrown: unknown) => {
          logger.warn('managers could not be remembered', { error: SwarmError.from(thrown).message });
        });
      },
      onNode: (node) => {
        this.certificate.nodeTold(node);
        onNode(node);
      },
      onTrustedRoots: (pem) => this.certificate.rootsTold(pem),
      onCertExpiry: (expiryMs) => this.certificate.lifetimeTold(expiryMs),
      onRemoved,
      onFailure: (error) => parts.onFailure(error),
      clock,
      random,
      logger,
    });
  }
}
