import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '#common/clock.ts';
import { assert, SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { FreshRuns } from '#common/system/fresh-runs.ts';
import { Turns } from '#common/system/turns.ts';
import { NetlinkSocket } from '../kernel/netlink.ts';
import { listNetworkNamespaces, removeNetworkNamespace } from '../kernel/netns.ts';
import {
  addressOf,
  answeringAddresses,
  confinedAddresses,
  ingressAddresses,
  ownAddress,
  placeOf,
} from './attachment-addresses.ts';
import { type AttachmentRecord, AttachmentRecords, checkTaskId } from './attachment-records.ts';
import type { ClusterNetworks } from './cluster-networks.ts';
import type { NetworkConfig } from './config.ts';
import { describeAttachment } from './describe-attachment.ts';
import { Gateway, gatewayNamespacePath } from './gateway.ts';
import { readHostNameFiles } from './host-name-files.ts';
import type { HostTableFrame } from './host-table.ts';
import type { InstanceNames } from './instance.ts';
import { instanceNames } from './instance.ts';
import { formatAddress, parsePrefix } from './ipv4.ts';
import { type MeshTables, RoutingMesh } from './mesh/routing-mesh.ts';
import { nameFiles } from './name-files.ts';
import { NamespacePool } from './namespace-pool.ts';
import type { TouchedItems } from './overlay/network-view.ts';
import { PortPublisher } from './port-publisher.ts';
import { dropObsoletePlan, hasNamespace, sweepNamespaces } from './recovery.ts';
import { makeBareNamespace, makeGatewayNamespace, replugNamespace } from './task-cable.ts';
import { LingeringLinks, repairLink, seeLinks } from './task-links.ts';
import { TaskMembership } from './task-membership.ts';
import { gatewayLinkName, NamespaceNumbers, numberOf, taskNamespacePath } from './task-namespace.ts';
import type { AttachRequest, NetworkAttachment, ReconcileReport, RestoreReport, TaskNetwork } from './task-network.ts';
import type { ExpectedPorts } from './task-readiness.ts';
import { drained, listensAt } from './task-traffic.ts';

interface Parts {
  readonly gateway: Gateway;
  readonly publisher: PortPublisher;
  readonly pool: NamespacePool;
  readonly mesh: RoutingMesh;
  readonly hostSocket: NetlinkSocket;
}

export interface NodeNetworkOptions {
  /** Tells daemons on one host apart; the same daemon keeps the same one. */
  readonly instance: string;
  /**
   * An absolute path below the daemon's run directory, for this instance alone. Namespaces are pinned here, in the mount
   * namespace of the daemon. Lost at a reboot, as the kernel's state is.
   */
  readonly directory: string;
  readonly config: NetworkConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The cluster's networks; without them a task is on the gateway network alone. */
  readonly cluster?: ClusterNetworks;
}

/**
 * The network of this node's tasks, made of kernel parts: see docs/network.md for the layout. The daemon's process must
 * run in the host's network namespace.
 */
export class NodeNetwork implements TaskNetwork {
  readonly #options: NodeNetworkOptions;
  readonly #names: InstanceNames;
  readonly #records: AttachmentRecords;
  readonly #numbers = new NamespaceNumbers();
  readonly #attached = new Map<string, AttachmentRecord>();
  readonly #lingering: LingeringLinks;
  readonly #comparisons = new FreshRuns(() => this.#compare());
  /** Repaired since the last report. */
  #repaired: readonly string[] = [];
  #closing = false;
  /** By task. */
  readonly #turns = new Turns();
  readonly #membership: TaskMembership;
  #parts: Parts | undefined;

  constructor(options: NodeNetworkOptions) {
    assert(options.directory.startsWith('/'), 'the run directory of the network is an absolute path');
    this.#options = options;
    this.#names = instanceNames(options.instance);
    this.#records = new AttachmentRecords(options.directory);
    const { directory, cluster, clock, config } = options;
    this.#lingering = new LingeringLinks(clock, config.lingerMs);
    this.#membership = new TaskMembership({ directory, cluster, clock, tablesWaitMs: config.tablesWaitMs });
  }

  /** Whether `restore` has succeeded: only then is there something to reconcile. */
  get isRestored(): boolean {
    return this.#parts !== undefined;
  }

  async restore(knownTaskIds: readonly string[]): Promise<RestoreReport> {
    assert(this.#parts === undefined, 'the network is restored once');
    this.#attached.clear();
    await mkdir(join(this.#options.directory, 'ns'), { recursive: true, mode: 0o700 });
    const known = new Set(knownTaskIds);
    const records = await this.#records.readAll();
    const { directory, config, logger } = this.#options;
    const alive = records.filter((record) => known.has(record.taskId) && hasNamespace(directory, record));
    const removed = records.filter((record) => !known.has(record.taskId)).map((record) => record.taskId);
    const pools = config.gatewayPools.map(parsePrefix).filter((pool) => pool !== undefined);
    await dropObsoletePlan(this.#makeGateway(), { pools, isInUse: alive.length > 0, logger });

    const gateway = this.#makeGateway();
    const publisher = new PortPublisher({ names: this.#names, logger: this.#options.logger });
    try {
      await gateway.ensure();
      // A removed namespace takes a moment to go, and its device with it: the number cannot be used again at once.
      for (const name of (await gateway.taskLinks()).keys()) this.#numbers.giveOutAfter(numberOf(name));
      await sweepNamespaces(directory, this.#records, alive);
      for (const record of alive) await this.#adopt(record, gateway, publisher);
      if (gateway.plan.ingress !== undefined) await publisher.adoptMesh();
      await gateway.shareForwarding(await publisher.sharedForwarding());
      await publisher.install(await this.#tableFrame(gateway));
    } catch (error) {
      await publisher.close();
      await gateway.close();
      throw error;
    }
    const pool = this.#makePool(gateway);
    const hostSocket = NetlinkSocket.open();
    const mesh = this.#makeMesh(gateway, publisher, hostSocket);
    for (const record of alive) mesh.setLocal(ingressAddresses(record), true);
    this.#parts = { gateway, publisher, pool, mesh, hostSocket };
    this.#options.cluster?.adopt(
      alive.map((record) => record.taskId),
      alive.flatMap((record) => placeOf(record, gateway)),
    );
    await this.#repairTaskLinks();
    pool.start();
    return {
      adopted: alive.map((record) => describeAttachment(directory, record, gateway)),
      absent: knownTaskIds.filter((taskId) => !this.#attached.has(taskId)),
      removed,
      contested: publisher.contested(),
    };
  }

  attach(request: AttachRequest, signal?: AbortSignal): Promise<NetworkAttachment> {
    checkTaskId(request.taskId);
    return this.#inTurn(request.taskId, async () => {
      const existing = this.#attached.get(request.taskId);
      const record = existing ?? (await this.#attachNew(request, signal));
      return this.#withFiles(record, request);
    });
  }

  /** The ingress network as this node is told of it; undefined: there is none. Throws what the mesh could not do. */
  async applyMesh(tables: MeshTables | undefined, touched: TouchedItems | undefined): Promise<void> {
    await this.#need().mesh.apply(tables, touched);
  }

  /** The host's end of the cable, where tasks reach the one who answers names. Throws before `restore`. */
  get nameserverAddress(): string {
    return formatAddress(this.#need().gateway.plan.hostAddress);
  }

  /** Of the namespace between tasks and host. */
  get gatewayPath(): string {
    return gatewayNamespacePath(this.#options.directory);
  }

  /** Ports of the cluster that this node does not publish, in words. */
  meshProblems(): readonly string[] {
    return this.#parts?.publisher.meshProblems() ?? [];
  }

  async drain(taskId: string, maxMs: number, signal: AbortSignal): Promise<void> {
    const path = this.#pathOfKnown(taskId);
    if (path !== undefined && maxMs > 0) await drained(path, this.#options, maxMs, signal);
  }

  async listening(taskId: string, ports: ExpectedPorts, signal: AbortSignal): Promise<readonly number[]> {
    const path = this.#pathOfKnown(taskId);
    return path === undefined ? [] : listensAt(path, this.#options, ports, signal);
  }

  /** The namespace of a task that others may be led to; undefined for one without a namespace of its own, too. */
  #pathOfKnown(taskId: string): string | undefined {
    const record = this.#attached.get(taskId);
    if (record?.number === undefined || !isKnownToOthers(record)) return undefined;
    return taskNamespacePath(this.#options.directory, record.number);
  }

  detach(taskId: string): Promise<void> {
    checkTaskId(taskId);
    return this.#inTurn(taskId, async () => {
      const record = this.#attached.get(taskId);
      if (record === undefined) return;
      const { gateway, publisher, mesh } = this.#need();
      await publisher.withdraw(taskId);
      await this.#membership.leave(record, gateway);
      await this.#removeAttachment(record);
      mesh.setLocal(ingressAddresses(record), false);
      this.#attached.delete(taskId);
    });
  }

  async reconcile(): Promise<ReconcileReport> {
    await this.#comparisons.run();
    const repaired = this.#repaired;
    this.#repaired = [];
    return { repaired, contested: this.#need().publisher.contested() };
  }

  /** What differs of the gateway, the mesh and the host's tables, in words. Puts nothing right. */
  async surveyMesh(): Promise<readonly string[]> {
    const { gateway, publisher, mesh } = this.#need();
    const isWhole = await publisher.isWhole(await this.#tableFrame(gateway));
    return [...(await mesh.survey()), ...(isWhole ? [] : [`nftables table ${this.#names.hostTable}`])];
  }

  /** The kernel has told of damage, which a comparison that is under way may have come too early for. */
  async #repairSoon(): Promise<void> {
    if (this.#closing || this.#parts === undefined) return;
    try {
      await this.#comparisons.run();
    } catch (error) {
      this.#options.logger.warn('the gateway network could not be repaired', { error: SwarmError.from(error).message });
    }
  }

  /** The part of `reconcile` that other programs undo by flushing the ruleset of the host. Says what was repaired. */
  async repairTables(): Promise<readonly string[]> {
    const { gateway, publisher } = this.#need();
    return (await publisher.verify(await this.#tableFrame(gateway))) ? [`nftables table ${this.#names.hostTable}`] : [];
  }

  async #compare(): Promise<void> {
    const { gateway, mesh } = this.#need();
    const repaired = [...(await gateway.ensure())];
    repaired.push(...(await mesh.repair()));
    repaired.push(...(await this.repairTables()));
    repaired.push(...(await this.#repairTaskLinks()));
    this.#repaired = [...this.#repaired, ...repaired];
  }

  async close(): Promise<void> {
    this.#closing = true;
    await Promise.allSettled([this.#turns.over(), this.#comparisons.over()]);
    const parts = this.#parts;
    this.#parts = undefined;
    await parts?.pool.close();
    await parts?.mesh.close();
    await parts?.hostSocket.close();
    await parts?.publisher.close();
    await parts?.gateway.close();
  }

  async destroy(): Promise<void> {
    await this.close();
    const { directory } = this.#options;
    const publisher = new PortPublisher({ names: this.#names, logger: this.#options.logger });
    try {
      await mkdir(join(directory, 'ns'), { recursive: true, mode: 0o700 });
      for (const name of await listNetworkNamespaces(join(directory, 'ns')))
        if (name !== 'gateway') removeNetworkNamespace(join(directory, 'ns', name));
      await this.#makeGateway().destroy(await publisher.aloneInNamespace());
      await publisher.removeTable();
    } finally {
      await publisher.close();
    }
    this.#attached.clear();
    await rm(directory, { recursive: true, force: true });
  }

  #need(): Parts {
    if (this.#parts !== undefined) return this.#parts;
    throw this.#notUp();
  }

  #notUp(): SwarmError {
    return new SwarmError({
      code: 'unavailable',
      reason: 'shutting-down',
      message: 'the network of this node is not up',
      hint: 'try again when the daemon has started',
    });
  }

  #makeGateway(): Gateway {
    const { directory, config, logger } = this.#options;
    return new Gateway({ names: this.#names, directory, config, logger });
  }

  #makePool(gateway: Gateway): NamespacePool {
    const { config, clock, logger } = this.#options;
    return new NamespacePool({
      target: config.readyNamespaces,
      retryMs: config.refillRetryMs,
      make: () => this.#makeNamespace(gateway),
      clock,
      logger,
    });
  }

  #makeMesh(gateway: Gateway, publisher: PortPublisher, hostSocket: NetlinkSocket): RoutingMesh {
    const { config, clock, logger } = this.#options;
    const { vniWaitMs, vniRetryMs, eventDelayMs } = config;
    const onDamage = (): void => void this.#repairSoon();
    const frame = (): Promise<HostTableFrame> => this.#tableFrame(gateway);
    return new RoutingMesh({
      gateway,
      publisher,
      hostSocket,
      frame,
      vniWaitMs,
      vniRetryMs,
      clock,
      logger,
      eventDelayMs,
      onDamage,
    });
  }

  async #makeNamespace(gateway: Gateway): ReturnType<typeof makeGatewayNamespace> {
    const number = this.#numbers.take(gateway.plan.pool);
    try {
      return await makeGatewayNamespace(this.#options.directory, number, gateway);
    } catch (error) {
      this.#numbers.release(number);
      throw error;
    }
  }

  async #tableFrame(gateway: Gateway): Promise<HostTableFrame> {
    return {
      plan: gateway.plan,
      ipv6: gateway.ipv6,
      mark: this.#options.config.packetMark,
      guardedDevices: await gateway.guardedDevices(),
    };
  }

  async #adopt(record: AttachmentRecord, gateway: Gateway, publisher: PortPublisher): Promise<void> {
    if (record.number !== undefined) this.#numbers.reserve(record.number);
    this.#attached.set(record.taskId, record);
    await gateway.confine(confinedAddresses(record, gateway), true);
    const addresses = answeringAddresses(record, gateway);
    if (addresses.length > 0) await publisher.adopt(record.taskId, addresses, record.ports);
  }

  async #attachNew(request: AttachRequest, signal: AbortSignal | undefined): Promise<AttachmentRecord> {
    const { taskId, mode } = request;
    const networks = mode === 'gateway' ? (request.networks ?? []) : [];
    await this.#membership.awaitTables(networks, signal);
    const { gateway, publisher, pool, mesh } = this.#need();
    let record: AttachmentRecord = { taskId, mode, number: undefined, ports: [] };
    try {
      if (mode === 'gateway') record = { ...record, number: (await pool.take()).number };
      if (mode === 'none') record = { ...record, number: await this.#takeBare(gateway) };
      if (networks.length > 0) record = await this.#membership.join(record, request, networks, { gateway, mesh });
      const addresses = answeringAddresses(record, gateway);
      if (addresses.length > 0)
        record = { ...record, ports: await publisher.publish(taskId, addresses, request.ports) };
      // Last: what a crash leaves without a record, `restore` removes.
      await this.#records.write(record);
      this.#attached.set(taskId, record);
      return record;
    } catch (error) {
      await publisher.withdraw(taskId);
      await this.#membership.leave(record, gateway);
      await this.#removeAttachment(record);
      mesh.setLocal(ingressAddresses(record), false);
      throw error;
    }
  }

  async #takeBare(gateway: Gateway): Promise<number> {
    const number = this.#numbers.take(gateway.plan.pool);
    try {
      return (await makeBareNamespace(this.#options.directory, number)).number;
    } catch (error) {
      this.#numbers.release(number);
      throw error;
    }
  }

  /** The namespace first: a record without one is harmless, one without a record would be. */
  async #removeAttachment(record: AttachmentRecord): Promise<void> {
    if (record.number !== undefined) {
      removeNetworkNamespace(taskNamespacePath(this.#options.directory, record.number));
      this.#numbers.release(record.number);
    }
    await this.#records.remove(record.taskId);
  }

  async #withFiles(record: AttachmentRecord, request: AttachRequest): Promise<NetworkAttachment> {
    const { gateway } = this.#need();
    const files = nameFiles({
      request,
      asksResolver: record.asksResolver === true,
      address: ownAddress(record) ?? addressOf(record, gateway),
      hostAddress: record.mode === 'gateway' ? formatAddress(gateway.plan.hostAddress) : undefined,
      host: await readHostNameFiles(),
      fallbackNameservers: this.#options.config.fallbackNameservers,
      hasIpv6: gateway.ipv6 !== undefined,
    });
    return { ...describeAttachment(this.#options.directory, record, gateway), files };
  }

  /** Devices and routes in the gateway namespace: those of attachments and of ready namespaces, and no others. */
  async #repairTaskLinks(): Promise<readonly string[]> {
    const { gateway, pool } = this.#need();
    const { directory } = this.#options;
    const seen = await seeLinks(gateway);
    const repaired: string[] = [];
    for (const record of [...this.#attached.values()]) {
      const { taskId, mode, number } = record;
      if (mode !== 'gateway' || number === undefined) continue;
      await this.#inTurn(taskId, async () => {
        if (this.#attached.get(taskId) !== record) return;
        if (await repairLink(directory, { ...record, number }, gateway, seen)) repaired.push(`way to task ${taskId}`);
      });
    }
    for (const { number } of pool.ready)
      if (!seen.links.has(gatewayLinkName(number))) await replugNamespace(directory, number, gateway);
    const ofNobody = [...seen.links.keys()].filter((name) => !this.#numbers.has(numberOf(name)));
    return [...repaired, ...(await this.#lingering.remove(ofNobody, gateway))];
  }

  #inTurn<T>(taskId: string, work: () => Promise<T>): Promise<T> {
    return this.#closing ? Promise.reject(this.#notUp()) : this.#turns.take(taskId, work);
  }
}

/** Whether anybody could be led to it: by a network's name or address, or by a port of this node. */
function isKnownToOthers({ networks, ports }: AttachmentRecord): boolean {
  return (networks?.length ?? 0) > 0 || ports.length > 0;
}
