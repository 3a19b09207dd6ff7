/** Hosts of a cluster and a client outside, each a network namespace on one bridge, 192.0.2.0/24. */
import assert from 'node:assert/strict';
import { globSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { addAddress } from '#agent/kernel/netlink-address.ts';
import { addBridge, addVeth, findLink, setLinkMaster, setLinkUp } from '#agent/kernel/netlink-link.ts';
import { createNetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import type { NetworkAttachment, NetworkConfig } from '#agent/network/index.ts';
import { bothAddresses } from '../both-addresses.ts';
import { NamespaceProcess, namespaceOf } from '../fixture.ts';
import type { MeshState } from '../namespace-process.ts';

export const CLIENT_ADDRESS = '192.0.2.100';
export const CLIENT_ADDRESS6 = '2001:db8::100';
type Service = MeshState['services'][number];
/** What a host has otherwise than by default. */
type HostConfig = (host: number) => Partial<NetworkConfig>;

interface Task {
  readonly id: string;
  readonly service: string;
  readonly host: number;
  readonly address: string;
  readonly serving?: boolean;
}

export function hostAddress(host: number): string {
  return `192.0.2.${host}`;
}

export function hostAddress6(host: number): string {
  return `2001:db8::${host}`;
}

export class MeshHosts {
  readonly directory = mkdtempSync(join(tmpdir(), 'starling-mesh-'));
  readonly #count: number;
  readonly #config: HostConfig;
  readonly #processes: NamespaceProcess[] = [];
  readonly #daemons: NamespaceProcess[] = [];
  readonly services = new Map<string, Service>();
  readonly tasks = new Map<string, Task>();
  readonly #programs = new Map<string, NamespaceProcess>();
  /** Hosts that say that they have no IPv6. */
  readonly withoutIpv6 = new Set<number>();
  readonly attachments = new Map<string, NetworkAttachment>();

  private constructor(count: number, config: HostConfig) {
    this.#count = count;
    this.#config = config;
  }

  static async make(count: number, config: HostConfig = () => ({})): Promise<MeshHosts> {
    const made = new MeshHosts(count, config);
    const fabric = createNetworkNamespace(join(made.directory, 'fabric'));
    const bridge = NetlinkSocket.open(fabric);
    await bridge.execute([setLinkUp(1), addBridge('br0')]);
    const master = (await findLink(bridge, 'br0'))?.index ?? 0;
    const places = [
      { path: made.clientPath, address: CLIENT_ADDRESS, address6: CLIENT_ADDRESS6, index: 200 },
      ...Array.from({ length: count }, (_, at) => ({
        path: made.hostPath(at + 1),
        address: hostAddress(at + 1),
        address6: hostAddress6(at + 1),
        index: 101 + at,
      })),
    ];
    for (const { path, address, address6, index } of places) {
      const namespace = createNetworkNamespace(path);
      const socket = NetlinkSocket.open(namespace);
      await socket.execute([
        setLinkUp(1),
        addVeth({ name: 'eth0', index: 2, mtu: 1500 }, { name: `h${index}`, index, mtu: 1500 }, fabric.descriptor),
        setLinkUp(2),
        addAddress(2, `${address}/24`),
        addAddress(2, `${address6}/64`),
      ]);
      await bridge.execute([setLinkMaster(index, master), setLinkUp(index)]);
      await socket.close();
      namespace.close();
    }
    await bridge.close();
    fabric.close();
    for (let host = 1; host <= count; host++) await made.startDaemon(host);
    return made;
  }

  get clientPath(): string {
    return join(this.directory, 'client');
  }

  gatewayPath(host: number): string {
    return join(this.directory, 'run', String(host), 'ns', 'gateway');
  }

  hostPath(host: number): string {
    return join(this.directory, `host${host}`);
  }

  daemon(host: number): NamespaceProcess {
    const daemon = this.#daemons[host - 1];
    assert.ok(daemon !== undefined);
    return daemon;
  }

  /** A daemon on the host, in place of one that is gone. */
  async startDaemon(host: number): Promise<void> {
    const daemon = this.process(this.hostPath(host));
    this.#daemons[host - 1] = daemon;
    const directory = join(this.directory, 'run', String(host));
    mkdirSync(directory, { recursive: true });
    await daemon.call('open', {
      instance: `mesh${host}`,
      directory,
      nodeId: `node${host}`,
      config: this.#config(host),
    });
    await daemon.call(
      'restore',
      [...this.tasks.values()].filter((task) => task.host === host).map((task) => task.id),
    );
  }

  process(netnsPath: string): NamespaceProcess {
    const started = new NamespaceProcess(netnsPath);
    this.#processes.push(started);
    return started;
  }

  state(): MeshState {
    const nodes = Array.from({ length: this.#count }, (_, at) => ({
      id: `node${at + 1}`,
      index: at + 1,
      address: hostAddress(at + 1),
      ipv6: !this.withoutIpv6.has(at + 1),
    }));
    const tasks = [...this.tasks.values()].map(({ host, ...task }) => ({ ...task, node: `node${host}` }));
    return { nodes, services: [...this.services.values()], tasks };
  }

  /** Tells every host how things are; with ids of tasks, as an increment about those. */
  async sync(...endpoints: readonly string[]): Promise<void> {
    const touched = endpoints.length === 0 ? undefined : { endpoints };
    for (let host = 1; host <= this.#count; host++)
      assert.deepEqual(await this.daemon(host).call('mesh', `node${host}`, this.state(), touched), []);
  }

  async publish(id: string, ...ports: Service['ports']): Promise<void> {
    this.services.set(id, { id, ports });
    await this.sync();
  }

  /** A task with a program in it that serves its own name at 80, TCP and UDP, and echoes at 7. */
  async add(task: Task): Promise<void> {
    const attachment = await this.daemon(task.host).call('attach', {
      taskId: task.id,
      mode: 'gateway',
      hostname: task.id,
      ports: [],
      networks: [{ networkId: 'ingress', addresses: bothAddresses(task.address) }],
    });
    this.attachments.set(task.id, attachment);
    const program = this.process(namespaceOf(attachment));
    this.#programs.set(task.id, program);
    await program.call('serve', task.id, '::', 80);
    await program.call('serveDatagrams', task.id, '::', 80);
    await program.call('serveEcho', '::', 7);
    this.tasks.set(task.id, task);
    await this.sync(task.id);
  }

  inTask(id: string): NamespaceProcess {
    const program = this.#programs.get(id);
    assert.ok(program !== undefined);
    return program;
  }

  async setServing(id: string, serving: boolean): Promise<void> {
    const task = this.tasks.get(id);
    assert.ok(task !== undefined);
    this.tasks.set(id, { ...task, serving });
    await this.sync(id);
  }

  async destroy(): Promise<void> {
    for (const one of this.#processes) await one.kill();
    for (const path of globSync(join(this.directory, 'run/*/ns/*'))) removeNetworkNamespace(path);
    for (let host = 1; host <= this.#count; host++) removeNetworkNamespace(this.hostPath(host));
    removeNetworkNamespace(this.clientPath);
    removeNetworkNamespace(join(this.directory, 'fabric'));
    rmSync(this.directory, { recursive: true, force: true });
  }
}
