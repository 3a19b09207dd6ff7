import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { NetworkView } from '#agent/discovery/index.ts';
import type { Clock } from '#common/clock.ts';
import { assert, SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { Turns } from '#common/system/turns.ts';
import type { NetworkTable } from '#gen/swarm/v1/networks.ts';
import { canonicalAddress } from '../../kernel/ip-address.ts';
import { checkTaskId } from '../attachment-records.ts';
import type { AttachableNetwork, NetworkSurvey, NetworkWays, Repaired } from './attachable-network.ts';
import { ChildNetwork } from './child-network.ts';
import type { OverlayConfig } from './config.ts';
import type { KernelNamespace, NetworkKernel } from './kernel/network-kernel.ts';
import { LinkRecords } from './link-records.ts';
import type { Touched, TouchedItems, Underlay } from './network-view.ts';
import type { OverlayAttacher, OverlayAttachRequest, OverlayLink, OverlayMembership } from './overlay-attach.ts';
import { Router } from './router.ts';
import { deviceInTask, type TaskLink } from './router-model.ts';
import { type Listing, parseListing } from './router-table.ts';

export interface OverlayNetworksOptions {
  readonly kernel: NetworkKernel;
  /** An absolute path of its own below the daemon's run directory. Lost at a reboot, as the kernel's state is. */
  readonly directory: string;
  readonly nodeId: string;
  /**
   * Where the packets of a network travel. Throws a SwarmError when that is nowhere at the moment (its encryption is not
   * up): the network then ends at this node, and that is its problem. Asked again at every `apply` and `reconcile`.
   */
  readonly underlayOf: (table: NetworkTable) => Underlay;
  readonly config: OverlayConfig;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A network that could not be made as it should be; it is tried again by `reconcile`. */
export interface OverlayProblem {
  readonly networkId: string;
  readonly message: string;
}

export interface OverlayRestoreReport {
  /** Tasks whose devices were taken over, as they were or repaired. */
  readonly adopted: readonly string[];
  /** Tasks that nobody knows, taken off their networks. */
  readonly removed: readonly string[];
  readonly repaired: Repaired;
  readonly problems: readonly OverlayProblem[];
}

export interface OverlayReconcileReport {
  /** What was found missing or changed and has been put right since the last report; empty when all was well. */
  readonly repaired: Repaired;
  readonly problems: readonly OverlayProblem[];
}

export interface OverlaySurvey extends NetworkSurvey {
  /** Why the network could not be made. */
  readonly problem: string | undefined;
  /** Namespace of a task that is on the network here. */
  readonly askerPath: string | undefined;
}

const SCRATCH = 'scratch';
/** Lanes of work; those of tasks are longer. */
const NETWORKS_LANE = 'n';
const SCRATCH_LANE = 's';

const NOTHING_TOUCHED: TouchedItems = { peers: new Set(), services: new Set(), endpoints: new Set(), table: false };

/**
 * The overlay networks (and bridge, macvlan and ipvlan ones) of this node: see docs/overlay.md. The ingress network is
 * not among them: it is the gateway's. The daemon's process must run in the host's network namespace.
 */
export class OverlayNetworks implements OverlayAttacher {
  readonly #options: OverlayNetworksOptions;
  readonly #records: LinkRecords;
  #host: KernelNamespace | undefined;
  /** By network id. */
  readonly #networks = new Map<string, AttachableNetwork>();
  #views: ReadonlyMap<string, NetworkView> = new Map();
  /** Of every task with devices, by task id. */
  readonly #links = new Map<string, readonly TaskLink[]>();
  readonly #problems = new Map<string, string>();
  /** Repaired on events, since the last report. */
  #repaired: string[] = [];
  /** By task; work on the set of networks takes turns, too. */
  readonly #turns = new Turns();
  #closing = false;

  constructor(options: OverlayNetworksOptions) {
    assert(options.directory.startsWith('/'), 'the directory of the overlay networks is an absolute path');
    this.#options = options;
    this.#records = new LinkRecords(options.directory);
  }

  /**
   * Once, before anything else: takes over what is there of these networks and tasks after a restart of the daemon, and
   * removes every other trace. `views` is what was known before the restart; tasks not in `knownTaskIds` are taken off.
   */
  async restore(
    views: ReadonlyMap<string, NetworkView>,
    knownTaskIds: readonly string[],
  ): Promise<OverlayRestoreReport> {
    assert(this.#host === undefined, 'the overlay networks are restored once');
    const { kernel, directory } = this.#options;
    await mkdir(join(directory, 'ns'), { recursive: true, mode: 0o700 });
    this.#host = await kernel.host();
    const known = new Set(knownTaskIds);
    const removed: string[] = [];
    for (const [taskId, links] of await this.#records.readAll()) {
      const alive = known.has(taskId) && links.every((link) => views.has(link.networkId));
      if (alive && (await this.#allExist(links))) this.#links.set(taskId, links);
      else {
        removed.push(taskId);
        await this.#dropDevices(links);
        await this.#records.remove(taskId);
      }
    }
    await this.#sweep(views);
    const problems = await this.#inTurn(NETWORKS_LANE, () => this.#applyNow(views, undefined));
    const repaired = this.#repaired;
    this.#repaired = [];
    return { adopted: [...this.#links.keys()], removed, repaired, problems };
  }

  /**
   * Makes the node's networks those of `views`: networks that are not in it go, unless tasks here are still on them. With
   * `touched` only what it names is looked at. When this returns, the kernel has it all, but for the problems.
   */
  apply(views: ReadonlyMap<string, NetworkView>, touched?: Touched): Promise<readonly OverlayProblem[]> {
    return this.#inTurn(NETWORKS_LANE, () => this.#applyNow(views, touched));
  }

  attach(request: OverlayAttachRequest): Promise<readonly OverlayLink[]> {
    checkTaskId(request.taskId);
    return this.#inTurn(`task ${request.taskId}`, async () => {
      const links = this.#links.get(request.taskId) ?? (await this.#attachNew(request));
      return links.map((link) => this.#describe(link));
    });
  }

  detach(taskId: string): Promise<void> {
    checkTaskId(taskId);
    return this.#inTurn(`task ${taskId}`, async () => {
      const links = this.#links.get(taskId);
      if (links === undefined) return;
      for (const link of links) await this.#networks.get(link.networkId)?.disconnect(taskId);
      await this.#records.remove(taskId);
      this.#links.delete(taskId);
      await this.#inTurn(NETWORKS_LANE, () => this.#removeUnused());
    });
  }

  /** Compares every network with the kernel and repairs it. Call it every half minute or so. */
  async reconcile(): Promise<OverlayReconcileReport> {
    // What could not be made before, and what has a way to the other nodes now.
    const nothing = new Map(Array.from(this.#views.keys(), (networkId) => [networkId, NOTHING_TOUCHED]));
    await this.#inTurn(NETWORKS_LANE, () => this.#applyNow(this.#views, nothing));
    const repaired = this.#repaired;
    this.#repaired = [];
    for (const [networkId, network] of [...this.#networks]) repaired.push(...(await this.#repair(networkId, network)));
    return { repaired, problems: this.#listProblems() };
  }

  /** Compares a network with the kernel and changes nothing. Undefined for one that is not on this node. */
  async survey(networkId: string): Promise<OverlaySurvey | undefined> {
    const view = this.#views.get(networkId);
    const network = this.#networks.get(networkId);
    if (view === undefined || network === undefined) return undefined;
    const problem = this.#problems.get(networkId);
    const survey = await network.survey();
    const [asker] = network.links.values();
    const absent = notAttached(view, this.#options.nodeId, network.links);
    const differences = [...absent, ...survey.differences];
    return { ...survey, differences, problem, askerPath: asker?.netnsPath };
  }

  /** How other nodes are reached on the network; undefined where it ends at this node, or is not here. */
  ways(networkId: string): NetworkWays | undefined {
    return this.#networks.get(networkId)?.ways();
  }

  /** Lets go without changing what tasks see: their networks go on working. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#turns.over();
    for (const network of this.#networks.values()) await network.close();
    this.#networks.clear();
    await this.#host?.close();
    this.#host = undefined;
  }

  /** Removes everything from the kernel and the run directory. Works without `restore` too. */
  async destroy(): Promise<void> {
    await this.close();
    const { kernel, directory } = this.#options;
    for (const links of (await this.#records.readAll()).values()) await this.#dropDevices(links);
    for (const name of await this.#namespaceNames()) await kernel.remove(join(directory, 'ns', name));
    await rm(directory, { recursive: true, force: true });
  }

  async #applyNow(views: ReadonlyMap<string, NetworkView>, touched: Touched | undefined): Promise<OverlayProblem[]> {
    this.#views = views;
    await this.#removeUnused();
    const changed = [...views].filter(
      ([networkId, { table }]) =>
        !table.ingress && (touched === undefined || touched.has(networkId) || !this.#networks.has(networkId)),
    );
    await Promise.all(
      changed.map(([networkId, view]) => {
        const network = this.#networks.get(networkId) ?? this.#open(networkId, view);
        const items = this.#problems.has(networkId) ? undefined : touched?.get(networkId);
        return this.#watched(networkId, () => this.#applyOne(network, view, items));
      }),
    );
    return this.#listProblems();
  }

  async #applyOne(network: AttachableNetwork, view: NetworkView, touched: TouchedItems | undefined): Promise<void> {
    const { driver } = view.table;
    if (driver !== '' && driver !== 'overlay') return network.apply(view, undefined, touched);
    let underlay: Underlay;
    try {
      underlay = this.#options.underlayOf(view.table);
    } catch (problem) {
      await network.apply(view, undefined, touched);
      throw problem;
    }
    await network.apply(view, underlay, touched);
  }

  /** Does work on a network; a failure becomes its problem, success ends it. */
  async #watched(networkId: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.#problems.delete(networkId);
    } catch (error) {
      const { message } = SwarmError.from(error);
      if (this.#problems.get(networkId) !== message)
        this.#options.logger.warn('a network could not be made', { network: networkId, error: message });
      this.#problems.set(networkId, message);
    }
  }

  #listProblems(): OverlayProblem[] {
    return Array.from(this.#problems, ([networkId, message]) => ({ networkId, message }));
  }

  /** What could not be made is a problem until `apply` has made it, whatever else is repaired. */
  async #repair(networkId: string, network: AttachableNetwork): Promise<Repaired> {
    if (this.#problems.has(networkId)) return network.repair().catch(() => []);
    let repaired: Repaired = [];
    await this.#watched(networkId, async () => {
      repaired = await network.repair();
    });
    return repaired;
  }

  #hostNamespace(): KernelNamespace {
    if (this.#host !== undefined) return this.#host;
    throw this.#notUp();
  }

  #notUp(): SwarmError {
    return new SwarmError({
      code: 'unavailable',
      reason: 'shutting-down',
      message: 'the overlay networks of this node are not up',
      hint: 'try again when the daemon has started',
    });
  }

  #open(networkId: string, view: NetworkView): AttachableNetwork {
    const { kernel, nodeId, config, clock, logger } = this.#options;
    const host = this.#hostNamespace();
    const { driver } = view.table;
    const network =
      driver === 'macvlan' || driver === 'ipvlan'
        ? new ChildNetwork({ kernel, host, view })
        : new Router({
            kernel,
            host,
            path: this.#namespacePath(view),
            view,
            nodeId,
            config,
            clock,
            logger,
            learnListing: (text) => this.#inTurn(SCRATCH_LANE, () => this.#learnListing(text)),
            onRepaired: (repaired) => this.#repaired.push(...repaired),
          });
    this.#networks.set(networkId, network);
    for (const links of this.#links.values())
      for (const link of links) if (link.networkId === networkId) network.adopt(link);
    return network;
  }

  #namespacePath({ table }: NetworkView): string {
    return join(this.#options.directory, 'ns', namespaceName(table));
  }

  async #namespaceNames(): Promise<readonly string[]> {
    const directory = join(this.#options.directory, 'ns');
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return readdir(directory);
  }

  /** Networks that are needed no more and have no task here. */
  async #removeUnused(): Promise<void> {
    for (const [networkId, network] of [...this.#networks]) {
      if (this.#views.has(networkId)) continue;
      if ([...this.#links.values()].some((links) => links.some((link) => link.networkId === networkId))) continue;
      this.#networks.delete(networkId);
      this.#problems.delete(networkId);
      await network.destroy();
    }
  }

  async #sweep(views: ReadonlyMap<string, NetworkView>): Promise<void> {
    const wanted = new Set(Array.from(views.values(), ({ table }) => namespaceName(table)));
    for (const name of await this.#namespaceNames())
      if (!wanted.has(name)) await this.#options.kernel.remove(join(this.#options.directory, 'ns', name));
  }

  async #allExist(links: readonly TaskLink[]): Promise<boolean> {
    for (const link of links) if (!(await this.#options.kernel.exists(link.netnsPath))) return false;
    return true;
  }

  /** Devices of a task that is on no network any more, if its namespace is still there. */
  async #dropDevices(links: readonly TaskLink[]): Promise<void> {
    const { kernel } = this.#options;
    for (const link of links) {
      if (!(await kernel.exists(link.netnsPath))) continue;
      const task = await kernel.open(link.netnsPath);
      try {
        await task.change([{ do: 'delete-link', name: deviceInTask(link).name }]);
      } finally {
        await task.close();
      }
    }
  }

  #network({ networkId }: OverlayMembership): AttachableNetwork {
    const network = this.#networks.get(networkId);
    if (network !== undefined && this.#views.has(networkId)) return network;
    throw new SwarmError({
      code: 'precondition',
      reason: 'unknown-object',
      message: `network ${networkId} is not on this node yet`,
      hint: 'managers send a network before the tasks that need it: look at the connection to them with `swarm info`',
    });
  }

  async #attachNew({ taskId, netnsPath, networks }: OverlayAttachRequest): Promise<readonly TaskLink[]> {
    const links: TaskLink[] = [];
    const task = await this.#options.kernel.open(netnsPath);
    try {
      for (const [position, membership] of networks.entries()) {
        const { networkId, addresses } = membership;
        const network = this.#network(membership);
        const problem = this.#problems.get(networkId);
        if (problem !== undefined) throw brokenNetwork(network.name, problem);
        const link = network.newLink({ taskId, networkId, netnsPath, position, addresses });
        links.push(link);
        await network.plug(task, link);
        await network.connect(link);
      }
      await this.#records.write(taskId, links);
      this.#links.set(taskId, links);
      return links;
    } catch (error) {
      await this.#undo(task, links);
      throw error;
    } finally {
      await task.close();
    }
  }

  /** What cannot be undone now is found by the next comparison; the failure that is told is the first one. */
  async #undo(task: KernelNamespace, links: readonly TaskLink[]): Promise<void> {
    for (const link of links) {
      const network = this.#networks.get(link.networkId);
      network?.abandon(link);
      try {
        await network?.disconnect(link.taskId);
        await task.change([{ do: 'delete-link', name: deviceInTask(link).name }]);
      } catch (error) {
        this.#options.logger.warn('a failed attachment left something behind', {
          task: link.taskId,
          error: SwarmError.from(error).message,
        });
      }
    }
  }

  #describe(link: TaskLink): OverlayLink {
    const network = this.#networks.get(link.networkId);
    const table = this.#views.get(link.networkId)?.table;
    return {
      networkId: link.networkId,
      networkName: table?.name ?? link.networkId,
      deviceName: deviceInTask(link).name,
      linkLayerAddress: link.linkLayerAddress,
      addresses: network?.prefixes(link) ?? link.addresses,
      internal: table?.internal ?? false,
    };
  }

  /** Loads tables in a namespace that is there for nothing else, and lists them. */
  async #learnListing(text: string): Promise<Listing> {
    const { kernel, directory } = this.#options;
    const path = join(directory, 'ns', SCRATCH);
    await kernel.remove(path);
    const namespace = await kernel.create(path);
    try {
      await namespace.load('learn how tables list', text);
      return parseListing(await namespace.ruleset());
    } finally {
      await namespace.close();
      await kernel.remove(path);
    }
  }

  #inTurn<T>(lane: string, work: () => Promise<T>): Promise<T> {
    return this.#closing ? Promise.reject(this.#notUp()) : this.#turns.take(lane, work);
  }
}

/** Tasks that serve on this node, so the table says, and that the network does not lead to. */
function notAttached({ endpoints }: NetworkView, nodeId: string, links: ReadonlyMap<string, TaskLink>): Repaired {
  const wrong = (taskId: string, addresses: readonly string[]): boolean => {
    const given = links.get(taskId)?.addresses.map(canonicalAddress);
    return given === undefined || !addresses.every((address) => given.includes(canonicalAddress(address)));
  };
  return [...endpoints.values()]
    .filter((one) => one.nodeId === nodeId && one.serving && wrong(one.taskId, one.addresses))
    .map(({ taskId, addresses }) => `task ${taskId} is not attached at ${addresses.join(', ')}`);
}

/** Of the namespace's file. Numbers of VXLAN are unique in the cluster; networks of one node go by their ids. */
function namespaceName(table: NetworkView['table']): string {
  if (table.driver === '' || table.driver === 'overlay') return `net-${table.vni}`;
  assert(/^[a-z0-9]{1,64}$/.test(table.networkId), 'ids are letters and digits');
  return `net-${table.networkId}`;
}

function brokenNetwork(name: string, problem: string): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'network-failed',
    message: `${name} could not be made on this node: ${problem}`,
    hint: 'it is tried again every half minute; `swarm doctor` says more',
  });
}
