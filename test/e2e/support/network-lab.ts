/**
 * What the tests of networks have in their swarm of three managers and three workers: four networks, two of them with
 * the same subnet, and services of real workloads on all hosts.
 */
import assert from 'node:assert/strict';
import type { Task } from '#gen/swarm/v1/objects.ts';
import { eventually } from '#test/support/eventually.ts';
import { type Cluster, isRunning, SOON_MS } from './cluster.ts';
import { assertAllReached, type NetworkMap, networkMap, type Ports } from './network-map.ts';
import { runIn } from './network-probe/ask-from.ts';
import { loadWorkloads, WORKLOAD_IMAGES } from './workload-images.ts';

export const NETWORK_LAB = { managers: 3, workers: 3 } as const;
/** Of the service `web`, on every host. */
export const WEB_PORT = 18_090;
/** Where programs are in the containers of `db`. */
export const POSTGRES_PATH = '/usr/lib/postgresql/15/bin';

interface NetworkOfLab {
  readonly flags: readonly string[];
  readonly ports: Ports;
}

const TWIN = ['--subnet', '10.99.0.0/24', '--ipam-opt', 'overlap=allow'] as const;

export const NETWORKS = {
  front: { flags: [], ports: { web: 80, cache: 6379, db: 5432 } },
  back: { flags: ['--ipv6'], ports: { inner: 80 } },
  east: { flags: TWIN, ports: { sunrise: 80 } },
  west: { flags: TWIN, ports: { sunset: 80 } },
} as const satisfies Readonly<Record<string, NetworkOfLab>>;

export type NetworkName = keyof typeof NETWORKS;

interface ServiceOfLab {
  readonly network: NetworkName;
  readonly image: string;
  readonly tasks: number;
  readonly flags: readonly string[];
}

const { nginx, redis, postgres } = WORKLOAD_IMAGES;
const replicas = (tasks: number): readonly string[] => ['--replicas', String(tasks)];

const SERVICES: Readonly<Record<string, ServiceOfLab>> = {
  web: { network: 'front', image: nginx, tasks: 6, flags: ['--mode', 'global', '--publish', `${WEB_PORT}:80`] },
  cache: { network: 'front', image: redis, tasks: 2, flags: [...replicas(2), '--constraint', 'node.role==worker'] },
  db: { network: 'front', image: postgres, tasks: 1, flags: ['--constraint', 'node.hostname==w3'] },
  inner: { network: 'back', image: nginx, tasks: 2, flags: replicas(2) },
  sunrise: { network: 'east', image: nginx, tasks: 2, flags: replicas(2) },
  sunset: { network: 'west', image: nginx, tasks: 2, flags: [...replicas(2), '--endpoint-mode', 'dnsrr'] },
};

/** Makes all of it and waits until it runs. Skips the test, saying why, where the images cannot be made. */
export async function prepareNetworkLab(context: Mocha.Context, cluster: Cluster): Promise<void> {
  await Promise.all([
    loadWorkloads(context, cluster, ['nginx']),
    loadWorkloads(context, cluster, ['redis'], ['w1', 'w2', 'w3']),
    loadWorkloads(context, cluster, ['postgres'], ['w3']),
  ]);
  for (const [name, { flags }] of Object.entries(NETWORKS)) await cluster.must(['network', 'create', ...flags, name]);
  for (const [name, { network, image, flags }] of Object.entries(SERVICES))
    await cluster.must(['service', 'create', '-d', '--name', name, '--network', network, ...flags, image]);
  await networkLabSettled(cluster);
}

export async function networkLabSettled(cluster: Cluster, timeoutMs = 2 * SOON_MS): Promise<void> {
  for (const [name, { tasks }] of Object.entries(SERVICES)) await cluster.settled(name, tasks, timeoutMs);
  const db = await runningTask(cluster, 'db');
  await cluster.until(
    () => askPostgres(db),
    (answer) => answer === '1\n',
    'postgres to be ready',
  );
}

export async function mapsOfLab(cluster: Cluster): Promise<Readonly<Record<NetworkName, NetworkMap>>> {
  const of = (name: NetworkName): Promise<NetworkMap> => networkMap(cluster, name, NETWORKS[name].ports);
  return { front: await of('front'), back: await of('back'), east: await of('east'), west: await of('west') };
}

/** A task of the service, on this host if one is named. */
export async function runningTask(cluster: Cluster, service: string, host?: string): Promise<Task> {
  const nodeId = host === undefined ? undefined : await cluster.nodeId(host);
  const task = (await cluster.tasks(service)).find(
    (one) => isRunning(one) && (nodeId === undefined || one.nodeId === nodeId),
  );
  assert.ok(task, `a task of ${service} runs${host === undefined ? '' : ` on ${host}`}`);
  return task;
}

/** What `SELECT 1` answers that is asked of the service `db` in one of its own containers. */
export async function askPostgres(task: Task): Promise<string> {
  const command = ['psql', '-h', 'db', '-U', 'postgres', '-Atc', 'SELECT 1'];
  const { stdout, stderr } = await runIn(task, command, POSTGRES_PATH);
  return stdout + stderr;
}

/** What `PING` answers that is asked of the service `cache` in one of its own containers. */
export async function askRedis(task: Task): Promise<string> {
  const { stdout, stderr } = await runIn(task, ['redis-cli', '-h', 'cache', 'PING']);
  return stdout + stderr;
}

/**
 * Waits until everybody is reached on every network: what a host ran when it lost its power counts as running until its
 * daemon says what became of it.
 */
export async function wholeAgain(cluster: Cluster): Promise<void> {
  let last: unknown;
  const isWhole = async (): Promise<boolean> => {
    try {
      for (const map of Object.values(await mapsOfLab(cluster))) await assertAllReached(map);
      return true;
    } catch (thrown) {
      last = thrown;
      return false;
    }
  };
  await eventually(() => `the networks to be whole: ${String(last)}`, isWhole, { timeoutMs: SOON_MS });
}
