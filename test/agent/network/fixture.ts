/**
 * Two hosts made of network namespaces: `host`, where the network under test runs, and `outside`, its router to
 * everything else. 198.51.100.0/24 and 2001:db8:1::/64 lie between them; 203.0.113.1 and 2001:db8:ffff::1 are addresses
 * somewhere out there.
 */
import assert from 'node:assert/strict';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AF_INET6 } from '#agent/kernel/ip-address.ts';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { addAddress } from '#agent/kernel/netlink-address.ts';
import { addVeth, listLinks, setLinkUp } from '#agent/kernel/netlink-link.ts';
import { listRoutes, replaceRoute } from '#agent/kernel/netlink-route.ts';
import { listRules } from '#agent/kernel/netlink-rule.ts';
import { createNetworkNamespace, NetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import { Nftables } from '#agent/kernel/nftables.ts';
import type { AttachedNetwork, AttachRequest, HostPort } from '#agent/network/index.ts';
import { NamespaceProgram } from '#test/support/namespace-program.ts';
import type { Methods } from './namespace-process.ts';

export const HOST_ADDRESS = '198.51.100.2';
export const OUTSIDE_ADDRESS = '198.51.100.1';
export const FAR_ADDRESS = '203.0.113.1';
export const HOST_ADDRESS6 = '2001:db8:1::2';
export const OUTSIDE_ADDRESS6 = '2001:db8:1::1';
export const FAR_ADDRESS6 = '2001:db8:ffff::1';

/** A request for a task with a name and ports like "8080:80", "127.0.0.1:8080:80", "5353:53/udp". */
export function taskRequest(taskId: string, ...ports: readonly string[]): AttachRequest {
  return { taskId, mode: 'gateway', hostname: taskId, ports: ports.map(parsePort) };
}

function parsePort(text: string): HostPort {
  const [all = '', protocol = 'tcp'] = text.split('/');
  // "[2001:db8::7]:8080:80"
  const bracketed = /^\[(.+)\]:(.*)$/.exec(all);
  const numbers = bracketed?.[2] ?? all;
  const parts = numbers.split(':');
  const [targetPort = 0, publishedPort = 0] = parts.slice(-2).map(Number).toReversed();
  const hostIp = bracketed?.[1] ?? (parts.length === 3 ? parts[0] : undefined);
  return { protocol: protocol as HostPort['protocol'], publishedPort, targetPort, hostIp };
}

export function gatewayAddress(attachment: AttachedNetwork): string {
  const address = attachment.addresses[0]?.address;
  assert.ok(address);
  return address;
}

export function namespaceOf(attachment: AttachedNetwork): string {
  assert.ok(attachment.netnsPath);
  return attachment.netnsPath;
}

/** A process inside a namespace; see namespace-process.ts for what it can do. */
export class NamespaceProcess extends NamespaceProgram<Methods> {
  constructor(netnsPath: string) {
    super(new URL('./namespace-process.ts', import.meta.url), netnsPath);
  }
}

export class TwoHosts {
  readonly directory = mkdtempSync(join(tmpdir(), 'starling-network-'));
  readonly host: NetworkNamespace;
  readonly outside: NetworkNamespace;
  readonly #processes: NamespaceProcess[] = [];

  private constructor() {
    this.host = createNetworkNamespace(this.hostPath);
    this.outside = createNetworkNamespace(this.outsidePath);
  }

  static async make(): Promise<TwoHosts> {
    const made = new TwoHosts();
    const host = NetlinkSocket.open(made.host);
    const outside = NetlinkSocket.open(made.outside);
    await host.execute([
      addVeth({ name: 'eth0', index: 2, mtu: 1400 }, { name: 'tohost', index: 2, mtu: 1400 }, made.outside.descriptor),
      setLinkUp(1),
      addAddress(2, `${HOST_ADDRESS}/24`),
      addAddress(2, `${HOST_ADDRESS6}/64`),
    ]);
    await outside.execute([
      setLinkUp(1),
      setLinkUp(2),
      addAddress(2, `${OUTSIDE_ADDRESS}/24`),
      addAddress(2, `${OUTSIDE_ADDRESS6}/64`),
      addAddress(1, `${FAR_ADDRESS}/32`),
      addAddress(1, `${FAR_ADDRESS6}/128`),
    ]);
    await host.execute([
      replaceRoute({ destination: 'default', linkIndex: 2, gateway: OUTSIDE_ADDRESS }),
      replaceRoute({ destination: '::/0', linkIndex: 2, gateway: OUTSIDE_ADDRESS6 }),
    ]);
    await host.close();
    await outside.close();
    return made;
  }

  get hostPath(): string {
    return join(this.directory, 'host');
  }

  get outsidePath(): string {
    return join(this.directory, 'outside');
  }

  /** A run directory of its own for a network under test. */
  runDirectory(name: string): string {
    const directory = join(this.directory, 'run', name);
    mkdirSync(directory, { recursive: true });
    return directory;
  }

  process(netnsPath: string): NamespaceProcess {
    const started = new NamespaceProcess(netnsPath);
    this.#processes.push(started);
    return started;
  }

  /** Works on the host's namespace from outside, as somebody with a shell there would. */
  async onHost<T>(
    work: (host: { readonly routes: NetlinkSocket; readonly nftables: Nftables }) => Promise<T>,
  ): Promise<T> {
    const routes = NetlinkSocket.open(this.host);
    const nftables = Nftables.open(this.host);
    try {
      return await work({ routes, nftables });
    } finally {
      await routes.close();
      await nftables.close();
    }
  }

  /** Everything in the host's namespace that a network could leave behind, as text. */
  hostState(): Promise<string> {
    return this.onHost(async ({ routes, nftables }) => {
      const links = (await listLinks(routes)).map((link) => link.name);
      const rules = (await listRules(routes)).map((rule) => `${rule.priority}:${rule.table}`);
      const all = (await listRoutes(routes)).map((route) => `${route.destination} ${route.table}`);
      const ruleset = await nftables.list('list', 'list ruleset', { elements: true });
      const setting = (name: string): string =>
        this.host.run(() => readFileSync(`/proc/sys/net/${name}`, 'utf8').trim());
      const rules6 = (await listRules(routes, AF_INET6)).map((rule) => `${rule.priority}:${rule.table}`);
      const all6 = (await listRoutes(routes, AF_INET6)).filter((route) => !route.kernelMade);
      const forwarding = setting('ipv4/ip_forward');
      const six = {
        rules: rules6,
        all: all6.map((route) => `${route.destination} ${route.table}`),
        forwarding: setting('ipv6/conf/all/forwarding'),
        listens: setting('ipv6/conf/eth0/accept_ra'),
      };
      return JSON.stringify({ links, rules, all, ruleset, forwarding, six }, undefined, 1);
    });
  }

  async destroy(): Promise<void> {
    for (const one of this.#processes) await one.kill();
    this.host.close();
    this.outside.close();
    // What a failed test left pinned.
    for (const path of globSync(join(this.directory, 'run/*/ns/*'))) removeNetworkNamespace(path);
    removeNetworkNamespace(this.hostPath);
    removeNetworkNamespace(this.outsidePath);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Works inside the namespace with a routing socket. */
export async function inNamespace<T>(path: string, work: (socket: NetlinkSocket) => Promise<T>): Promise<T> {
  const namespace = NetworkNamespace.open(path);
  const socket = NetlinkSocket.open(namespace);
  try {
    return await work(socket);
  } finally {
    await socket.close();
    namespace.close();
  }
}

/** Asks again when a busy machine, or hosts that have to find one another first, took too long. */
export async function patientAsk(from: NamespaceProcess, address: string, port: number): Promise<string> {
  let answer = 'timeout';
  for (let attempt = 0; attempt < 3 && answer === 'timeout'; attempt++) answer = await from.call('ask', address, port);
  return answer;
}

/** The reconciliation says that it repaired this. */
export async function assertRepairs(host: NamespaceProcess, expected: RegExp): Promise<void> {
  const { repaired } = await host.call('reconcile');
  assert.ok(
    repaired.some((what) => expected.test(what)),
    JSON.stringify(repaired),
  );
}
