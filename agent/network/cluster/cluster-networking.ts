/**
 * The cluster's networks on this node, put together: the guard and the tunnel between nodes, the overlay networks, the
 * routing mesh, and the answers to names. Follows the tables that managers send; without any, it does nothing.
 */
import type { NetworkApplier, NetworkView, NetworkViews } from '#agent/discovery/index.ts';
import type { ResolverProcess } from '#agent/dns/index.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { type NetworkChange, NetworkProblem } from '#gen/swarm/v1/networks.ts';
import type { NodeDataPath } from '#gen/swarm/v1/objects.ts';
import { LoopbackPort, ResolverAsker, ResolverSettings } from '#gen/swarm/v1/resolver.ts';
import { DnsConfig, PortProtocol, PublishMode } from '#gen/swarm/v1/specs.ts';
import type { ClusterNetworks, TaskPlace } from '../cluster-networks.ts';
import type { ExaminedNetworks } from '../doctor/network-doctor.ts';
import { readHostNameFiles } from '../host-name-files.ts';
import { instanceNames } from '../instance.ts';
import { MESH_DEVICE } from '../mesh/mesh-table.ts';
import type { NodeNetwork } from '../node-network.ts';
import { networkMtu } from '../overlay/addressing.ts';
import type { NetworkWays } from '../overlay/attachable-network.ts';
import type { OverlayConfig } from '../overlay/config.ts';
import type { NetworkKernel } from '../overlay/kernel/network-kernel.ts';
import { touchedBy, type Underlay } from '../overlay/network-view.ts';
import type { OverlayAttacher } from '../overlay/overlay-attach.ts';
import { OverlayNetworks, type OverlaySurvey } from '../overlay/overlay-networks.ts';
import { waysOf } from '../overlay/ways.ts';
import type { WireGuardConfig } from '../wireguard/config.ts';
import type { Tunnel } from '../wireguard/tunnel.ts';
import { type ClusterMember, NodeUnderlay, noWay } from './node-underlay.ts';

export interface ClusterNetworkingOptions {
  /** That of the node's network. */
  readonly instance: string;
  /** An absolute path of its own below the run directory. */
  readonly directory: string;
  readonly kernel: NetworkKernel;
  /** Undefined where this host was not looked at: encrypted networks then end at this node. */
  readonly tunnel: Tunnel | undefined;
  readonly tunnelConfig: WireGuardConfig;
  readonly overlayConfig: OverlayConfig;
  /** The process that answers names, not started. Undefined: tasks ask the host's servers. */
  readonly makeResolver: (() => ResolverProcess) | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class ClusterNetworking implements NetworkApplier, ClusterNetworks {
  readonly name = 'networks';
  readonly #options: ClusterNetworkingOptions;
  readonly #underlay: NodeUnderlay;
  #network: NodeNetwork | undefined;
  #views: NetworkViews = new Map();
  /** In the kernel, or known not to come about. */
  readonly #ready = new Set<string>();
  readonly #watchers = new Set<() => void>();
  #overlay: OverlayNetworks | undefined;
  /** From the first table on. */
  #resolver: ResolverProcess | undefined;
  #loopbackPorts = '';
  #knownTasks: readonly string[] = [];
  /** Of tasks that the resolver is to be told at its start. */
  readonly #places = new Map<string, TaskPlace>();
  /** Why the mesh ends at this node; tried again by `reconcile`. */
  #meshProblem: string | undefined;

  constructor(options: ClusterNetworkingOptions) {
    this.#options = options;
    const { tunnel, tunnelConfig } = options;
    this.#underlay = new NodeUnderlay({ names: instanceNames(options.instance), tunnel, tunnelConfig });
  }

  /** Once, before anything else: the network of the node, which is made with this as its cluster. */
  connect(network: NodeNetwork): void {
    this.#network = network;
  }

  /** The node is in a swarm, as this member. Before the first `apply`. */
  async join(member: ClusterMember): Promise<void> {
    const before = this.#underlay.member;
    if (before !== undefined && before.nodeId !== member.nodeId) await this.leave();
    this.#underlay.join(member);
  }

  /** For the node's description. */
  dataPath(): Promise<NodeDataPath | undefined> {
    return this.#underlay.dataPath();
  }

  get #nodeId(): string {
    return this.#underlay.member?.nodeId ?? '';
  }

  readonly overlay: OverlayAttacher = {
    attach: async (request) => {
      if (request.networks.length === 0) return [];
      if (this.#overlay !== undefined) return this.#overlay.attach(request);
      throw new SwarmError({
        code: 'unavailable',
        reason: 'unknown-object',
        message: 'this node has not been told of any network',
        hint: 'look at its connection to the managers with `swarm info`',
      });
    },
    detach: async (taskId) => this.#overlay?.detach(taskId),
  };

  get answersNames(): boolean {
    return this.#resolver !== undefined;
  }

  isIngress(networkId: string): boolean | undefined {
    return this.#views.get(networkId)?.table.ingress;
  }

  async ready(networkIds: readonly string[], signal: AbortSignal): Promise<void> {
    while (!networkIds.every((networkId) => this.#ready.has(networkId))) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#watchers.delete(done);
          signal.removeEventListener('abort', done);
          resolve();
        };
        this.#watchers.add(done);
        signal.addEventListener('abort', done);
      });
    }
  }

  adopt(taskIds: readonly string[], places: readonly TaskPlace[]): void {
    this.#knownTasks = taskIds;
    for (const place of places) this.#places.set(place.taskId, place);
  }

  async placed(place: TaskPlace): Promise<void> {
    this.#places.set(place.taskId, place);
    await this.#resolver?.setAsker(this.#askerOf(place));
  }

  async gone(taskId: string): Promise<void> {
    if (!this.#places.delete(taskId)) return;
    // A resolver that does not answer must not keep a task from ending: it is told when it does.
    await this.#resolver?.removeAsker(taskId).catch((error: unknown) => {
      this.#options.logger.warn('the resolver was not told that a task is gone', {
        task: taskId,
        error: SwarmError.from(error).message,
      });
    });
  }

  async apply(
    views: NetworkViews,
    changes: readonly NetworkChange[],
    signal: AbortSignal,
  ): Promise<readonly NetworkProblem[]> {
    this.#views = views;
    // What comes while this is under way is in `views` too, but not yet in the kernel.
    const networkIds = [...views.keys()];
    await this.#underlay.findPlace();
    await this.#underlay.apply(views);
    const problems = await Promise.all([
      this.#applyOverlays(changes),
      this.#applyMesh(changes),
      this.#applyNames(changes, signal),
    ]);
    for (const networkId of [...this.#ready]) if (!views.has(networkId)) this.#ready.delete(networkId);
    for (const networkId of networkIds) if (views.has(networkId)) this.#ready.add(networkId);
    for (const watcher of [...this.#watchers]) watcher();
    return problems.flat();
  }

  /** Compares with the kernel what `NodeNetwork.reconcile` does not. Says what was repaired. */
  async reconcile(): Promise<readonly string[]> {
    if (this.#views.size === 0) return [];
    const parts: readonly (() => Promise<readonly string[]>)[] = [
      ...this.#underlay.repairs(),
      async () => (await this.#overlay?.reconcile())?.repaired ?? [],
      async () => {
        if (this.#meshProblem !== undefined) await this.#applyMesh(undefined);
        return [];
      },
    ];
    const repaired: string[] = [];
    for (const part of parts)
      try {
        repaired.push(...(await part()));
      } catch (error) {
        // The others are looked at all the same: a tunnel that hangs must not keep routes from being put right.
        this.#options.logger.warn('a part of the networks could not be looked at', {
          error: SwarmError.from(error).message,
        });
      }
    return repaired;
  }

  /** What there is of networks on this node, for who looks into a problem. Changes nothing. */
  readonly examined: ExaminedNetworks = {
    survey: async (networkId) => {
      const view = this.#views.get(networkId);
      return view?.table.ingress === true ? this.#surveyIngress(view) : this.#overlay?.survey(networkId);
    },
    ways: (networkId) => {
      const view = this.#views.get(networkId);
      return view?.table.ingress === true ? this.#ingressWays(view) : this.#overlay?.ways(networkId);
    },
    differences: () => this.#underlay.differences(),
    handshakeAges: async () => (await this.#options.tunnel?.handshakeAges()) ?? new Map<string, number>(),
    underlayDevice: async () => (await this.#underlay.findPlace())?.device ?? '',
  };

  async #surveyIngress(view: NetworkView): Promise<OverlaySurvey> {
    const problems = [...(this.#meshProblem === undefined ? [] : [this.#meshProblem])];
    problems.push(...(this.#network?.meshProblems() ?? []));
    const ways = this.#ingressWays(view);
    return {
      problem: problems.length === 0 ? undefined : problems.join('; '),
      differences: (await this.#network?.surveyMesh()) ?? [],
      mtu: networkMtu(view.table, ways?.underlay),
      askerPath: undefined,
    };
  }

  #ingressWays(view: NetworkView): NetworkWays | undefined {
    const nodeId = this.#nodeId;
    const nodeIndex = view.peers.get(nodeId)?.index;
    const network = this.#network;
    if (this.#meshProblem !== undefined || network === undefined || nodeIndex === undefined) return undefined;
    try {
      const underlay = this.#underlay.of(view.table);
      const place = { netnsPath: network.gatewayPath, linkIndex: MESH_DEVICE.index, nodeIndex };
      return waysOf(place, { view, nodeId, underlay, mtu: networkMtu(view.table, underlay) });
    } catch {
      return undefined; // it has no way out, and says so as its problem
    }
  }

  /** The node is in no swarm any more, and its tasks are gone: nothing of all this stays. */
  async leave(): Promise<void> {
    const { kernel, directory, overlayConfig: config, clock, logger } = this.#options;
    this.#underlay.forgetMember();
    this.#views = new Map();
    this.#ready.clear();
    this.#places.clear();
    this.#knownTasks = [];
    this.#meshProblem = undefined;
    if (this.#network?.isRestored === true) await this.#network.applyMesh(undefined, undefined);
    await this.#overlay?.close();
    this.#overlay = undefined;
    const underlayOf = (): Underlay => {
      throw noWay('the node is in no swarm');
    };
    await new OverlayNetworks({ kernel, directory, nodeId: '', underlayOf, config, clock, logger }).destroy();
    await this.#underlay.remove();
    const resolver = this.#resolver ?? this.#options.makeResolver?.();
    this.#resolver = undefined;
    await resolver?.destroy();
  }

  /** Lets go; everything goes on. */
  async close(): Promise<void> {
    await this.#overlay?.close();
    await this.#underlay.close();
    await this.#resolver?.close();
  }

  async #applyOverlays(changes: readonly NetworkChange[]): Promise<readonly NetworkProblem[]> {
    const { kernel, directory, overlayConfig: config, clock, logger } = this.#options;
    if (this.#overlay !== undefined)
      return (await this.#overlay.apply(this.#views, touchedBy(changes))).map((one) => NetworkProblem.create(one));
    const overlay = new OverlayNetworks({
      kernel,
      directory,
      nodeId: this.#nodeId,
      underlayOf: (table) => this.#underlay.of(table),
      config,
      clock,
      logger,
    });
    const { problems, repaired, removed } = await overlay.restore(this.#views, this.#knownTasks);
    this.#overlay = overlay;
    if (repaired.length > 0 || removed.length > 0) logger.info('networks of before', { repaired, removed });
    return problems.map((one) => NetworkProblem.create(one));
  }

  /** What the mesh cannot do beyond this node is a problem of the ingress network; it goes on with the node's own tasks. */
  async #applyMesh(changes: readonly NetworkChange[] | undefined): Promise<readonly NetworkProblem[]> {
    const network = this.#network;
    const view = [...this.#views.values()].find(({ table }) => table.ingress);
    if (network === undefined || !network.isRestored) return [];
    if (view === undefined) {
      await network.applyMesh(undefined, undefined);
      return [];
    }
    const { networkId } = view.table;
    const nodeId = this.#nodeId;
    const touched = changes === undefined ? undefined : touchedBy(changes);
    if (touched !== undefined && !touched.has(networkId) && this.#meshProblem === undefined) return [];
    const before = this.#meshProblem;
    try {
      const items = before === undefined ? touched?.get(networkId) : undefined;
      await network.applyMesh({ nodeId, view, underlay: this.#underlay.of(view.table) }, items);
      this.#meshProblem = undefined;
    } catch (error) {
      this.#meshProblem = SwarmError.from(error).message;
      if (this.#meshProblem !== before)
        this.#options.logger.warn('published ports lead to tasks of this node only', { error: this.#meshProblem });
      await network.applyMesh({ nodeId, view, underlay: undefined }, undefined);
    }
    const messages = [...(this.#meshProblem === undefined ? [] : [this.#meshProblem]), ...network.meshProblems()];
    return messages.length === 0 ? [] : [NetworkProblem.create({ networkId, message: messages.join('; ') })];
  }

  /** Names that cannot be answered now are answered later: the resolver is told by itself when it is there again. */
  async #applyNames(changes: readonly NetworkChange[], signal: AbortSignal): Promise<readonly NetworkProblem[]> {
    const { makeResolver, logger } = this.#options;
    if (makeResolver === undefined || this.#network === undefined || !this.#network.isRestored) return [];
    try {
      const settings = await this.#resolverSettings(this.#network.nameserverAddress);
      const ports = JSON.stringify(settings.loopbackPorts);
      const resolver = this.#resolver;
      if (resolver === undefined) {
        this.#loopbackPorts = ports;
        this.#resolver = makeResolver();
        await this.#resolver.start({
          views: this.#views,
          askers: [...this.#places.values()].map((place) => this.#askerOf(place)),
          settings,
        });
        return [];
      }
      await resolver.apply(this.#views, changes, signal);
      if (ports !== this.#loopbackPorts) {
        this.#loopbackPorts = ports;
        await resolver.configure(settings, signal);
      }
      return [];
    } catch (error) {
      if (signal.aborted) throw error;
      const { message } = SwarmError.from(error);
      logger.warn('the resolver does not follow', { error: message });
      const networkIds = new Set(changes.map((change) => change.networkId));
      return [...networkIds].map((networkId) => NetworkProblem.create({ networkId, message: `names: ${message}` }));
    }
  }

  /** Tasks do not see one another by the ingress network. */
  #askerOf({ taskId, address, networks, dns }: TaskPlace): ResolverAsker {
    return ResolverAsker.create({
      taskId,
      addresses: [address],
      networkIds: networks.map((one) => one.networkId).filter((networkId) => this.isIngress(networkId) !== true),
      ...(dns === undefined ? {} : { dns: DnsConfig.create(dns) }),
    });
  }

  async #resolverSettings(address: string): Promise<ResolverSettings> {
    const loopbackPorts: LoopbackPort[] = [];
    for (const { table, services } of this.#views.values())
      for (const service of table.ingress ? services.values() : [])
        for (const { publishMode, publishedPort: port, protocol, hostIp } of service.ports)
          if (publishMode !== PublishMode.HOST && port !== 0 && hostIp === '' && protocol !== PortProtocol.SCTP)
            loopbackPorts.push(LoopbackPort.create({ protocol, port }));
    return ResolverSettings.create({
      listenAddresses: [address],
      resolvConf: (await readHostNameFiles()).realResolvConf,
      loopbackPorts: loopbackPorts.toSorted((left, right) => left.port - right.port || left.protocol - right.protocol),
    });
  }
}
