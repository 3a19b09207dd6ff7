/**
 * Hosts made of network namespaces on one bridge, each with the overlay networks of a node, and a small cluster that
 * tells them all the same. 172.31.0.0/24 and fd31::/64 lie between them.
 */

import assert from 'node:assert/strict';
import { globSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NetworkView } from '#agent/discovery/index.ts';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { addAddress } from '#agent/kernel/netlink-address.ts';
import { addBridge, addVeth, findLink, setLinkMaster, setLinkUp } from '#agent/kernel/netlink-link.ts';
import { createNetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import { DEFAULT_OVERLAY_CONFIG, type OverlayConfig } from '#agent/network/overlay/config.ts';
import { NetlinkKernel } from '#agent/network/overlay/kernel/netlink-kernel.ts';
import type { KernelNamespace, NetworkKernel } from '#agent/network/overlay/kernel/network-kernel.ts';
import type { Underlay } from '#agent/network/overlay/network-view.ts';
import type { OverlayLink } from '#agent/network/overlay/overlay-attach.ts';
import { OverlayNetworks, type OverlayRestoreReport } from '#agent/network/overlay/overlay-networks.ts';
import { writeSysctls } from '#agent/network/sysctls.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { NetworkEndpoint, NetworkPeer, NetworkService, NetworkTable } from '#gen/swarm/v1/networks.ts';
import { NodeDataPath } from '#gen/swarm/v1/objects.ts';
import { IpamSubnet } from '#gen/swarm/v1/specs.ts';
import { NamespaceProgram } from '#test/support/namespace-program.ts';
import { inNamespace } from '../fixture.ts';
import type { Methods } from './endpoint-process.ts';

export const VXLAN_PORT = 4789;

/** A program in a namespace; see endpoint-process.ts for what it can do. */
export class Endpoint extends NamespaceProgram<Methods> {
  constructor(netnsPath: string) {
    super(new URL('./endpoint-process.ts', import.meta.url), netnsPath);
  }
}

export interface NetworkOptions {
  readonly id: string;
  readonly vni: number;
  readonly subnets: readonly string[];
  readonly driver?: string;
  readonly driverOptions?: Readonly<Record<string, string>>;
  readonly internal?: boolean;
}

export interface TaskOptions {
  readonly id: string;
  readonly host: number;
  /** Addresses on each network, by network id. */
  readonly networks: Readonly<Record<string, readonly string[]>>;
  readonly service?: string;
  readonly serving?: boolean;
}

export interface HostsOptions {
  readonly count: number;
  /** The underlay is IPv6. */
  readonly ipv6?: boolean;
  readonly mtu?: number;
  readonly kernel?: (hostPath: string) => NetworkKernel;
  readonly config?: Partial<OverlayConfig>;
}

export class Hosts {
  readonly directory = mkdtempSync(join(tmpdir(), 'starling-overlay-'));
  readonly #options: HostsOptions;
  readonly #endpoints: Endpoint[] = [];
  readonly #networks = new Map<string, NetworkOptions>();
  readonly #services = new Map<string, NetworkService & { readonly networkId: string }>();
  readonly tasks = new Map<string, TaskOptions>();
  readonly #nodes: OverlayNetworks[] = [];
  /** Hosts that peers do not list. */
  readonly gone = new Set<number>();
  encryptionIsUp = true;

  private constructor(options: HostsOptions) {
    this.#options = options;
  }

  static async make(options: HostsOptions): Promise<Hosts> {
    const made = new Hosts(options);
    mkdirSync(join(made.directory, 'task'), { recursive: true });
    const fabric = createNetworkNamespace(join(made.directory, 'fabric'));
    const bridge = NetlinkSocket.open(fabric);
    const mtu = options.mtu ?? 1500;
    await bridge.execute([setLinkUp(1), addBridge('br0')]);
    const master = (await findLink(bridge, 'br0'))?.index ?? 0;
    for (let host = 1; host <= options.count; host++) {
      const namespace = createNetworkNamespace(made.hostPath(host));
      const socket = NetlinkSocket.open(namespace);
      await socket.execute([
        setLinkUp(1),
        addVeth({ name: 'eth0', index: 2, mtu }, { name: `h${host}`, index: 100 + host, mtu }, fabric.descriptor),
        addAddress(2, `${made.underlayAddress(host, false)}/24`),
        addAddress(2, `${made.underlayAddress(host, true)}/64`),
      ]);
      await bridge.execute([setLinkMaster(100 + host, master), setLinkUp(100 + host)]);
      await socket.close();
      namespace.close();
      made.#nodes.push(made.newNode(host));
    }
    await bridge.close();
    fabric.close();
    return made;
  }

  hostPath(host: number): string {
    return join(this.directory, `host${host}`);
  }

  runDirectory(host: number): string {
    return join(this.directory, 'run', String(host));
  }

  underlayAddress(host: number, ipv6 = this.#options.ipv6 === true): string {
    return ipv6 ? `fd31::${host}` : `172.31.0.${host}`;
  }

  node(host: number): OverlayNetworks {
    const node = this.#nodes[host - 1];
    assert.ok(node !== undefined);
    return node;
  }

  /** Another daemon on the host: `restore` it before use. */
  newNode(host: number, kernel?: NetworkKernel): OverlayNetworks {
    mkdirSync(this.runDirectory(host), { recursive: true });
    const hostPath = this.hostPath(host);
    return new OverlayNetworks({
      kernel: kernel ?? this.#options.kernel?.(hostPath) ?? new NetlinkKernel(hostPath),
      directory: this.runDirectory(host),
      nodeId: `node${host}`,
      underlayOf: () => this.#underlay(host),
      config: { ...DEFAULT_OVERLAY_CONFIG, eventDelayMs: 20, ...this.#options.config },
      clock: systemClock,
      logger: silentLogger,
    });
  }

  #underlay(host: number): Underlay {
    if (!this.encryptionIsUp) throw new Error('encryption is not up');
    return {
      address: this.underlayAddress(host),
      port: VXLAN_PORT,
      mtu: this.#options.mtu ?? 1500,
      peerAddress: (peer) => peer.dataPath?.address,
      peerMtu: (peer) => peer.dataPath?.mtu,
    };
  }

  /** The daemon lets go as a killed one does, and another takes over. */
  async restart(host: number, kernel?: NetworkKernel): Promise<OverlayRestoreReport> {
    await this.node(host).close();
    const next = this.newNode(host, kernel);
    this.#nodes[host - 1] = next;
    const known = [...this.tasks.values()].filter((task) => task.host === host).map((task) => task.id);
    return next.restore(this.views(host), known);
  }

  async restoreAll(): Promise<void> {
    for (const [index, node] of this.#nodes.entries()) await node.restore(this.views(index + 1), []);
  }

  network(options: NetworkOptions): void {
    this.#networks.set(options.id, options);
  }

  removeNetwork(id: string): void {
    this.#networks.delete(id);
  }

  service(id: string, networkId: string, addresses: readonly string[]): void {
    this.#services.set(`${networkId} ${id}`, {
      ...NetworkService.create({ serviceId: id, name: id, addresses }),
      networkId,
    });
  }

  removeService(id: string, networkId: string): void {
    this.#services.delete(`${networkId} ${id}`);
  }

  setServing(taskId: string, serving: boolean): void {
    const task = this.tasks.get(taskId);
    assert.ok(task !== undefined);
    this.tasks.set(taskId, { ...task, serving });
  }

  /** What the managers would tell the host. */
  views(host: number): ReadonlyMap<string, NetworkView> {
    const views = new Map<string, NetworkView>();
    for (const network of this.#networks.values()) {
      const tasks = [...this.tasks.values()].filter((task) => network.id in task.networks);
      if (tasks.some((task) => task.host === host)) views.set(network.id, this.#view(network, tasks));
    }
    return views;
  }

  #view(network: NetworkOptions, tasks: readonly TaskOptions[]): NetworkView {
    const hosts = new Set(tasks.map((task) => task.host).filter((host) => !this.gone.has(host)));
    const { id, vni, subnets, driver = 'overlay', driverOptions = {}, internal = false } = network;
    return {
      table: NetworkTable.create({
        networkId: id,
        name: id,
        driver,
        driverOptions,
        vni,
        internal,
        subnets: subnets.map((subnet) => IpamSubnet.create({ subnet })),
      }),
      peers: new Map(
        Array.from(hosts, (host) => {
          const dataPath = NodeDataPath.create({ address: this.underlayAddress(host), mtu: this.#options.mtu ?? 1500 });
          return [`node${host}`, NetworkPeer.create({ nodeId: `node${host}`, index: host, dataPath })];
        }),
      ),
      services: new Map(
        Array.from(this.#services.values())
          .filter((service) => service.networkId === id)
          .map((service) => [service.serviceId, service]),
      ),
      endpoints: new Map(
        tasks.map((task) => [
          task.id,
          NetworkEndpoint.create({
            taskId: task.id,
            serviceId: task.service ?? '',
            nodeId: `node${task.host}`,
            addresses: task.networks[id] ?? [],
            serving: task.serving ?? true,
          }),
        ]),
      ),
    };
  }

  /** Tells every host how things are now. */
  async sync(): Promise<void> {
    for (const [index, node] of this.#nodes.entries()) {
      const problems = await node.apply(this.views(index + 1));
      assert.deepEqual(problems, [], `host ${index + 1}`);
    }
  }

  taskPath(taskId: string): string {
    return join(this.directory, 'task', taskId);
  }

  /** A namespace as the node's network makes it for a task: lo is up, IPv6 off in new devices. */
  makeTaskNamespace(taskId: string): string {
    const path = this.taskPath(taskId);
    const namespace = createNetworkNamespace(path);
    namespace.run(() => writeSysctls([['ipv6/conf/default/disable_ipv6', '1']]));
    namespace.close();
    return path;
  }

  /** Only on its host, not in the tables. */
  attach(task: TaskOptions): Promise<readonly OverlayLink[]> {
    return this.node(task.host).attach({
      taskId: task.id,
      netnsPath: this.taskPath(task.id),
      networks: Object.entries(task.networks).map(([networkId, addresses]) => ({ networkId, addresses })),
    });
  }

  /** In the tables of every host and on its own networks. */
  async add(task: TaskOptions): Promise<readonly OverlayLink[]> {
    this.tasks.set(task.id, task);
    await this.sync();
    this.makeTaskNamespace(task.id);
    return this.attach(task);
  }

  /** As a task ends: off its networks, its namespace gone, out of the tables. */
  async remove(taskId: string): Promise<void> {
    const task = this.tasks.get(taskId);
    assert.ok(task !== undefined);
    await this.node(task.host).detach(taskId);
    removeNetworkNamespace(this.taskPath(taskId));
    this.tasks.delete(taskId);
    await this.sync();
  }

  /** A program in a task, or anywhere. */
  program(netnsPath: string): Endpoint {
    const started = new Endpoint(netnsPath);
    this.#endpoints.push(started);
    return started;
  }

  inTask(taskId: string): Endpoint {
    return this.program(this.taskPath(taskId));
  }

  routerPath(host: number, name: string): string {
    return join(this.runDirectory(host), 'ns', name);
  }

  openRouter(host: number, name: string): Promise<KernelNamespace> {
    return new NetlinkKernel().open(this.routerPath(host, name));
  }

  /** Works in a namespace as somebody with a shell there would. */
  inside<T>(path: string, work: (socket: NetlinkSocket) => Promise<T>): Promise<T> {
    return inNamespace(path, work);
  }

  async destroy(): Promise<void> {
    await Promise.all(this.#endpoints.map((endpoint) => endpoint.kill()));
    for (const node of this.#nodes) await node.close();
    for (const path of globSync(join(this.directory, 'run/*/ns/*'))) removeNetworkNamespace(path);
    for (const path of globSync(join(this.directory, 'task/*'))) removeNetworkNamespace(path);
    for (let host = 1; host <= this.#options.count; host++) removeNetworkNamespace(this.hostPath(host));
    removeNetworkNamespace(join(this.directory, 'fabric'));
    rmSync(this.directory, { recursive: true, force: true });
  }
}
