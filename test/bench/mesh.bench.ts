/**
 * Requests per second through a published port: the routing mesh against docker-proxy, the hop of Docker's that stands in
 * the same place, started as dockerd starts it, in front of the same server on the same host. In turns, in one run. Then
 * a busy service with one, two and three tasks on as many hosts: more tasks, more requests. Needs root.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { addAddress } from '#agent/kernel/netlink-address.ts';
import { addBridge, addVeth, findLink, setLinkMaster, setLinkUp } from '#agent/kernel/netlink-link.ts';
import { replaceRoute } from '#agent/kernel/netlink-route.ts';
import { createNetworkNamespace, NetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import { namespaceOf } from '#test/agent/network/fixture.ts';
import { hostAddress, hostAddress6, MeshHosts } from '#test/agent/network/mesh/mesh-hosts.ts';
import { NamespaceProgram } from '#test/support/namespace-program.ts';
import type { LoadMethods } from './mesh/load-program.ts';

/** Many short rounds in turns: what else the machine does meets all paths alike. */
const ROUNDS = 15;
const ROUND_MS = 300;
const CLIENTS = 16;
/** Of the busy service: 3 ms a request, so that 48 clients always keep three tasks busy and no processor is. */
const SERVICE_MS = 3;
const BUSY_CLIENTS = 48;
const BUSY_MS = 2000;
const SERVER_PORT = 8000;
const [MESH_PORT, PROXY_PORT, BUSY_PORT] = [8080, 8090, 8081] as const;
const CONTAINER_ADDRESS = '172.17.0.2';
const PROXY_PROGRAMS = ['/usr/bin/docker-proxy', '/usr/sbin/docker-proxy', '/usr/libexec/docker/docker-proxy'];

if (process.getuid?.() !== 0) {
  console.log('skipped: network namespaces need root');
  process.exit();
}

function middle(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
}

function verdict(ok: boolean): string {
  return ok ? '' : '  MISSED';
}

class Bench {
  readonly hosts: MeshHosts;
  readonly #programs: NamespaceProgram<LoadMethods>[] = [];
  #proxy: ChildProcess | undefined;
  #containerPath: string | undefined;

  constructor(hosts: MeshHosts) {
    this.hosts = hosts;
  }

  program(netnsPath: string): NamespaceProgram<LoadMethods> {
    const made = new NamespaceProgram<LoadMethods>(new URL('./mesh/load-program.ts', import.meta.url), netnsPath);
    this.#programs.push(made);
    return made;
  }

  /** A task with the server in it. */
  async task(id: string, service: string, host: number, serviceMs: number): Promise<void> {
    const last = 10 + this.hosts.tasks.size;
    await this.hosts.add({ id, service, host, address: `10.0.0.${last}` });
    const attachment = this.hosts.attachments.get(id);
    if (attachment === undefined) throw new Error('the task is attached');
    await this.program(namespaceOf(attachment)).call('serve', SERVER_PORT, serviceMs);
  }

  /** A container on a bridge of host 1, as Docker makes it, and docker-proxy in front of it. False: it is not installed. */
  async startProxy(): Promise<boolean> {
    const program = PROXY_PROGRAMS.find((path) => existsSync(path));
    if (program === undefined) return false;
    this.#containerPath = `${this.hosts.directory}/container`;
    const container = createNetworkNamespace(this.#containerPath);
    const host = NetworkNamespace.open(this.hosts.hostPath(1));
    const [inside, outside] = [NetlinkSocket.open(container), NetlinkSocket.open(host)];
    await outside.execute([addBridge('docker0')]);
    const bridge = (await findLink(outside, 'docker0'))?.index ?? 0;
    await inside.execute([
      setLinkUp(1),
      addVeth({ name: 'eth0', index: 2, mtu: 1500 }, { name: 'vethd', index: 300, mtu: 1500 }, host.descriptor),
      addAddress(2, `${CONTAINER_ADDRESS}/16`),
      replaceRoute({ destination: 'default', linkIndex: 2, gateway: '172.17.0.1' }),
    ]);
    await outside.execute([addAddress(bridge, '172.17.0.1/16'), setLinkMaster(300, bridge), setLinkUp(300)]);
    for (const socket of [inside, outside]) await socket.close();
    container.close();
    host.close();
    await this.program(this.#containerPath).call('serve', SERVER_PORT, 0);
    const options = ['-proto', 'tcp', '-host-ip', '0.0.0.0', '-host-port', String(PROXY_PORT)];
    const target = ['-container-ip', CONTAINER_ADDRESS, '-container-port', String(SERVER_PORT)];
    const command = [`--net=${this.hosts.hostPath(1)}`, program, ...options, ...target];
    this.#proxy = spawn('nsenter', command, { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] });
    // It says on descriptor 3 that it listens.
    const ready = this.#proxy.stdio[3];
    if (ready !== null && ready !== undefined) await once(ready, 'data');
    return true;
  }

  async destroy(): Promise<void> {
    this.#proxy?.kill('SIGKILL');
    for (const one of this.#programs) await one.kill();
    if (this.#containerPath !== undefined) removeNetworkNamespace(this.#containerPath);
    await this.hosts.destroy();
  }
}

async function throughput(bench: Bench): Promise<void> {
  await bench.hosts.publish('web', { publishedPort: MESH_PORT, targetPort: SERVER_PORT });
  await bench.task('web1', 'web', 1, 0);
  const paths = [
    ['the mesh', hostAddress(1), MESH_PORT],
    ['the mesh, over IPv6', hostAddress6(1), MESH_PORT],
    ['the mesh, by another host', hostAddress(2), MESH_PORT],
    ...((await bench.startProxy()) ? [['docker-proxy', hostAddress(1), PROXY_PORT] as const] : []),
  ] as const;
  const client = bench.program(bench.hosts.clientPath);
  for (const keepAlive of [true, false]) {
    const rates = paths.map((): number[] => []);
    const common = { clients: CLIENTS, keepAlive } as const;
    for (const [, host, port] of paths) await client.call('load', { ...common, host, port, durationMs: ROUND_MS });
    for (let round = 0; round < ROUNDS; round++)
      for (const [index, [, host, port]] of paths.entries())
        rates[index]?.push(await client.call('load', { ...common, host, port, durationMs: ROUND_MS }));
    const what = keepAlive ? 'requests per second' : 'connections per second';
    const found = paths.map(([name], index) => ({ name, rate: middle(rates[index] ?? []) }));
    for (const { name, rate } of found) console.log(`${name.padEnd(28)} ${rate.toFixed(0).padStart(7)} ${what}`);
    const [mesh = [], , , proxy] = rates;
    if (proxy === undefined) console.log('docker-proxy is not installed: nothing to compare with');
    else {
      const ratio = middle(mesh.map((rate, round) => rate / (proxy[round] ?? 1)));
      console.log(`mesh / docker-proxy ${ratio.toFixed(2)} (goal 1)${verdict(ratio >= 1)}`);
    }
  }
}

async function replicas(bench: Bench): Promise<void> {
  await bench.hosts.publish('busy', { publishedPort: BUSY_PORT, targetPort: SERVER_PORT });
  const client = bench.program(bench.hosts.clientPath);
  let before = 0;
  for (const host of [1, 2, 3]) {
    await bench.task(`busy${host}`, 'busy', host, SERVICE_MS);
    const load = { host: hostAddress(1), port: BUSY_PORT, clients: BUSY_CLIENTS, durationMs: BUSY_MS } as const;
    const rate = await client.call('load', { ...load, keepAlive: false });
    console.log(
      `${host} busy ${host === 1 ? 'task ' : 'tasks'} ${rate.toFixed(0).padStart(22)} requests per second${verdict(rate > 1.3 * before)}`,
    );
    before = rate;
  }
}

const bench = new Bench(await MeshHosts.make(3));
try {
  await throughput(bench);
  await replicas(bench);
} finally {
  await bench.destroy();
}
