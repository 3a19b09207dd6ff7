/** A cluster of hosts with all of its networking, and a machine beside it, each a namespace on one bridge, 192.0.2.0/24 and fd31:2::/64. */
import assert from 'node:assert/strict';
import { globSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { addAddress } from '#agent/kernel/netlink-address.ts';
import { addBridge, addVeth, findLink, setLinkMaster, setLinkUp } from '#agent/kernel/netlink-link.ts';
import { replaceRoute } from '#agent/kernel/netlink-route.ts';
import { createNetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import type { HostPort, NetworkAttachment } from '#agent/network/index.ts';
import {
  NetworkChange,
  NetworkChanges,
  NetworkChangesType,
  NetworkEndpoint,
  NetworkPeer,
  NetworkService,
  NetworkTable,
} from '#gen/swarm/v1/networks.ts';
import { NodeDataPath } from '#gen/swarm/v1/objects.ts';
import { IpamSubnet, PortConfig, PortProtocol } from '#gen/swarm/v1/specs.ts';
import { NamespaceProgram } from '#test/support/namespace-program.ts';
import { NamespaceProcess, namespaceOf } from '../fixture.ts';
import type { ClusterHostMethods } from './cluster-host.ts';

export const STRANGER_ADDRESS = '192.0.2.100';
export const STRANGER_ADDRESS6 = 'fd31:2::100';
export const INGRESS = 'ingress';

export interface TestNetwork {
  readonly id: string;
  readonly vni: number;
  readonly subnet: string;
  readonly internal?: boolean;
}

export interface TestService {
  readonly id: string;
  /** On networks by id. */
  readonly addresses?: Readonly<Record<string, string>>;
  readonly ports?: readonly {
    readonly publishedPort: number;
    readonly targetPort: number;
    readonly udp?: boolean;
    readonly hostIp?: string;
  }[];
}

export interface TestTask {
  readonly id: string;
  readonly host: number;
  readonly service?: string;
  /** Addresses on networks by id. */
  readonly networks: Readonly<Record<string, string>>;
  readonly ports?: readonly HostPort[];
}

export function hostAddress(host: number): string {
  return `192.0.2.${host}`;
}

export class ClusterHosts {
  readonly directory = mkdtempSync(join(tmpdir(), 'starling-cluster-'));
  readonly #count: number;
  readonly #networks: readonly TestNetwork[];
  readonly #processes: NamespaceProcess[] = [];
  readonly #daemons: NamespaceProgram<ClusterHostMethods>[] = [];
  readonly #tasks = new Map<string, TestTask>();
  readonly attachments = new Map<string, NetworkAttachment>();
  services: readonly TestService[] = [];
  /** What the swarm has chosen; 0: nothing. */
  dataPathPort = 0;

  private constructor(count: number, networks: readonly TestNetwork[]) {
    this.#count = count;
    this.#networks = [{ id: INGRESS, vni: 4096, subnet: '10.0.0.0/24' }, ...networks];
  }

  static async make(count: number, networks: readonly TestNetwork[]): Promise<ClusterHosts> {
    const made = new ClusterHosts(count, networks);
    try {
      await made.#build(count);
      return made;
    } catch (error) {
      await made.destroy();
      throw error;
    }
  }

  async #build(count: number): Promise<void> {
    const fabric = createNetworkNamespace(join(this.directory, 'fabric'));
    const bridge = NetlinkSocket.open(fabric);
    await bridge.execute([setLinkUp(1), addBridge('br0')]);
    const master = (await findLink(bridge, 'br0'))?.index ?? 0;
    await bridge.execute([setLinkUp(master)]);
    for (let host = 0; host <= count; host++) {
      const namespace = createNetworkNamespace(this.hostPath(host));
      const socket = NetlinkSocket.open(namespace);
      const index = 100 + host;
      await socket.execute([
        setLinkUp(1),
        addVeth({ name: 'eth0', index: 2, mtu: 1500 }, { name: `h${index}`, index, mtu: 1500 }, fabric.descriptor),
        setLinkUp(2),
        addAddress(2, `${host === 0 ? STRANGER_ADDRESS : hostAddress(host)}/24`),
        addAddress(2, `${host === 0 ? STRANGER_ADDRESS6 : `fd31:2::${host}`}/64`),
        // Everything else is at the machine beside, which answers for nobody but itself.
        replaceRoute({ destination: 'default', linkIndex: 2, ...(host === 0 ? {} : { gateway: STRANGER_ADDRESS }) }),
        ...(host === 0 ? [] : [replaceRoute({ destination: '::/0', linkIndex: 2, gateway: STRANGER_ADDRESS6 })]),
      ]);
      await bridge.execute([setLinkMaster(index, master), setLinkUp(index)]);
      await socket.close();
      namespace.close();
    }
    await bridge.close();
    fabric.close();
    for (let host = 1; host <= count; host++) await this.#startDaemon(host);
    await this.sync();
  }

  /** 0: the machine beside the cluster. */
  hostPath(host: number): string {
    return join(this.directory, `host${host}`);
  }

  runDirectory(host: number): string {
    return join(this.directory, 'run', String(host));
  }

  instance(host: number): string {
    return `${this.directory}/${host}`;
  }

  daemon(host: number): NamespaceProgram<ClusterHostMethods> {
    const daemon = this.#daemons[host - 1];
    assert.ok(daemon !== undefined);
    return daemon;
  }

  process(netnsPath: string): NamespaceProcess {
    const started = new NamespaceProcess(netnsPath);
    this.#processes.push(started);
    return started;
  }

  /** A program on the network of the task. */
  inTask(id: string): NamespaceProcess {
    return this.process(this.taskPath(id));
  }

  taskPath(id: string): string {
    const attachment = this.attachments.get(id);
    assert.ok(attachment !== undefined);
    return namespaceOf(attachment);
  }

  /** In the tables, and on its host. */
  async add(task: TestTask): Promise<void> {
    await this.declare(task);
    await this.attach(task);
  }

  /** In the tables alone. */
  async declare(task: TestTask): Promise<void> {
    this.#tasks.set(task.id, task);
    await this.sync();
  }

  async attach(task: TestTask): Promise<void> {
    const attachment = await this.daemon(task.host).call('attach', {
      taskId: task.id,
      mode: 'gateway',
      hostname: task.id,
      ports: task.ports ?? [],
      networks: Object.entries(task.networks).map(([networkId, address]) => ({ networkId, addresses: [address] })),
    });
    this.attachments.set(task.id, attachment);
  }

  /** As when its host has ended it: from the next `sync` or `restart` on it is in no table. */
  forget(taskId: string): void {
    this.#tasks.delete(taskId);
    this.attachments.delete(taskId);
  }

  /** The daemon is killed, and another takes over which knows of these tasks. */
  async restart(host: number, known: readonly string[]): Promise<void> {
    await this.daemon(host).kill();
    await this.#startDaemon(host, known);
    await this.sync();
  }

  /** Tells every host how things are. */
  async sync(): Promise<void> {
    for (let host = 1; host <= this.#count; host++) {
      const bytes = NetworkChanges.encode(this.#tables(host));
      assert.deepEqual(await this.daemon(host).call('apply', Buffer.from(bytes).toString('base64')), []);
    }
  }

  #tables(host: number): NetworkChanges {
    const changes = this.#networks
      .filter(({ id }) => id === INGRESS || this.#tasksOn(id).some((task) => task.host === host))
      .flatMap((one) => this.#table(one));
    return NetworkChanges.create({ type: NetworkChangesType.COMPLETE, version: 1, changes });
  }

  #tasksOn(networkId: string): readonly TestTask[] {
    return [...this.#tasks.values()].filter((task) => networkId in task.networks);
  }

  #table({ id, vni, subnet, internal = false }: TestNetwork): readonly NetworkChange[] {
    const tasks = this.#tasksOn(id);
    const onNetwork = new Set(tasks.map((task) => task.host));
    const hosts = Array.from({ length: this.#count }, (_, at) => at + 1).filter(
      (host) => id === INGRESS || onNetwork.has(host),
    );
    const table = NetworkTable.create({
      networkId: id,
      name: id,
      driver: 'overlay',
      vni,
      internal,
      ingress: id === INGRESS,
      subnets: [IpamSubnet.create({ subnet })],
      dataPathPort: this.dataPathPort,
    });
    const items: readonly NetworkChange['item'][] = [
      { kind: 'table', value: table },
      ...hosts.map((host) => ({ kind: 'peer', value: peerOf(host) }) as const),
      ...this.services
        .filter((service) => (id === INGRESS ? service.ports !== undefined : id in (service.addresses ?? {})))
        .map((service) => ({ kind: 'service', value: serviceOn(id, service) }) as const),
      ...tasks.map((task) => ({ kind: 'endpoint', value: endpointOn(id, task) }) as const),
    ];
    return items.map((item) => NetworkChange.create({ networkId: id, item }));
  }

  async #startDaemon(host: number, known: readonly string[] = []): Promise<void> {
    const daemon = new NamespaceProgram<ClusterHostMethods>(
      new URL('./cluster-host.ts', import.meta.url),
      this.hostPath(host),
    );
    this.#daemons[host - 1] = daemon;
    const directory = this.runDirectory(host);
    for (const name of ['network/overlay', 'resolver'])
      mkdirSync(join(directory, name), { recursive: true, mode: 0o700 });
    const instance = this.instance(host);
    await daemon.call('open', { instance, directory, nodeId: `node${host}`, address: hostAddress(host), known });
  }

  async destroy(): Promise<void> {
    for (const one of this.#processes) await one.kill();
    for (const daemon of this.#daemons) {
      await daemon.call('destroy').catch(() => undefined);
      await daemon.kill();
    }
    for (const path of globSync(join(this.directory, 'run/**/ns/*'))) removeNetworkNamespace(path);
    for (let host = 0; host <= this.#count; host++) removeNetworkNamespace(this.hostPath(host));
    removeNetworkNamespace(join(this.directory, 'fabric'));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function peerOf(host: number): NetworkPeer {
  const dataPath = NodeDataPath.create({ address: hostAddress(host), mtu: 1500 });
  return NetworkPeer.create({ nodeId: `node${host}`, index: host, dataPath });
}

function serviceOn(networkId: string, { id, addresses = {}, ports = [] }: TestService): NetworkService {
  const address = addresses[networkId];
  return NetworkService.create({
    serviceId: id,
    name: id,
    addresses: address === undefined ? [] : [address],
    ports: ports.map(({ udp, hostIp, ...port }) =>
      PortConfig.create({
        ...port,
        hostIp: hostIp ?? '',
        protocol: udp === true ? PortProtocol.UDP : PortProtocol.TCP,
      }),
    ),
  });
}

function endpointOn(networkId: string, { id, service = '', host, networks }: TestTask): NetworkEndpoint {
  return NetworkEndpoint.create({
    taskId: id,
    serviceId: service,
    nodeId: `node${host}`,
    addresses: [networks[networkId] ?? ''],
    serving: true,
    containerName: id,
  });
}
