/** What a node's kernel and resolver know of a task: to see when they have forgotten it. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { listRoutes } from '#agent/kernel/netlink-route.ts';
import { NetworkNamespace } from '#agent/kernel/netns.ts';
import { Nftables } from '#agent/kernel/nftables.ts';
import type { Task } from '#gen/swarm/v1/objects.ts';
import type { LabHost } from '#src/lab/lab-host.ts';
import { type Cluster, isRunning, SOON_MS } from './cluster.ts';
import { runningTask } from './network-lab.ts';
import { runIn } from './network-probe/ask-from.ts';

/** Elements of maps (service addresses, published ports) and routes that name one of the addresses. */
async function entriesThatName(host: LabHost, addresses: readonly string[]): Promise<readonly string[]> {
  const pid = await host.daemon.pid();
  // The host's namespaces are pinned where its daemon sees them.
  const network = `/proc/${pid}/root${join(host.paths.runDirectory, 'network')}`;
  const routers = (await readdir(join(network, 'overlay/ns'))).map((name) => join(network, 'overlay/ns', name));
  const found: string[] = [];
  for (const path of [host.paths.network, join(network, 'ns/gateway'), ...routers]) {
    const namespace = NetworkNamespace.open(path);
    const [nftables, socket] = [Nftables.open(namespace), NetlinkSocket.open(namespace)];
    try {
      const rules = await nftables.listJson('list rules', 'list ruleset', { elements: true });
      const maps = rules.filter((entry) => 'map' in (entry as object)).map((entry) => JSON.stringify(entry));
      const routes = (await listRoutes(socket)).map(({ destination }) => destination.replace('/32', ''));
      for (const address of addresses) {
        if (maps.some((map) => map.includes(`"${address}"`))) found.push(`${path}: ${address} in a map`);
        if (routes.includes(address)) found.push(`${path}: a route to ${address}`);
      }
    } finally {
      await nftables.close();
      await socket.close();
      namespace.close();
    }
  }
  return found;
}

/** Which of these addresses the name of all tasks still has, asked in one of them. */
async function answersThatHave(task: Task, addresses: readonly string[]): Promise<readonly string[]> {
  const { stdout, stderr } = await runIn(task, ['nslookup', '-type=a', 'tasks.web']);
  const answer = [...stdout.matchAll(/^Address: (\S+)$/gm)].map(([, address = '']) => address);
  // Nothing at all is no answer to go by.
  return answer.length === 0 ? [stdout + stderr] : addresses.filter((address) => answer.includes(address));
}

/**
 * Power loss of a host with a task of `web`. Says how many milliseconds later each other node had nothing of that task
 * any more: no route, no map of service addresses or published ports, no answer of its resolver.
 */
export async function forgetsHost(cluster: Cluster, host: string): Promise<Readonly<Record<string, number>>> {
  const lost = await runningTask(cluster, 'web', host);
  const addresses = lost.networks.flatMap((one) => one.addresses);
  const hosts = new Map([...(await cluster.nodes())].map(([name, node]) => [node.id, name]));
  const others = (await cluster.tasks('web')).filter((task) => isRunning(task) && task.id !== lost.id);
  const startMs = performance.now();
  await cluster.lab.kill(host);
  const times = others.map(async (task) => {
    const name = hosts.get(task.nodeId) ?? '';
    const isEmpty = (found: readonly string[]): boolean => found.length === 0;
    const what = `${name} to forget ${addresses.join(' and ')}`;
    await cluster.until(() => entriesThatName(cluster.host(name), addresses), isEmpty, what, SOON_MS);
    await cluster.until(() => answersThatHave(task, addresses), isEmpty, what, SOON_MS);
    return [name, Math.round(performance.now() - startMs)] as const;
  });
  return Object.fromEntries(await Promise.all(times));
}
