/**
 * Rolling restarts of a service under load: requests go by its name from a task on its network, and from outside to its
 * published port on every node, each with connections that are kept and with one connection per request.
 */
import assert from 'node:assert/strict';
import { FABRIC } from '#src/lab/names.ts';
import { type Cluster, MANAGER, SOON_MS } from './cluster.ts';
import { tell } from './figures.ts';
import { describeLoad, HttpLoad, type LoadOrigin } from './http-load/http-load.ts';
import type { HttpLoadOptions, HttpLoadReport } from './http-load/load-report.ts';
import { WORKLOAD_IMAGES } from './workload-images.ts';

export type UpdateOrder = 'start-first' | 'stop-first';

/** A way in, and how connections are used. */
interface LoadWay {
  readonly name: string;
  readonly entrance: 'address' | 'port';
  readonly keepAlive: boolean;
}

const WAYS: readonly LoadWay[] = [
  { name: 'service address, connections kept', entrance: 'address', keepAlive: true },
  { name: 'service address, one per request', entrance: 'address', keepAlive: false },
  { name: 'published port, connections kept', entrance: 'port', keepAlive: true },
  { name: 'published port, one per request', entrance: 'port', keepAlive: false },
];

/** The servers. */
export const SERVICE = 'rolling';
const CLIENT = 'rolling-client';
const NETWORK = 'rolling';
const PORT = 80;
const PUBLISHED_PORT = 18_090;
const NAMESERVER = '127.0.0.11';
/** A request that takes longer has failed. */
const ANSWER_MS = 15_000;
export const REPLICAS = 10;
/** Ten tasks, one after the other, each with its whole grace period. */
const ROLL_MS = 300_000;
/** An nginx that lets a connection have so many requests, and begins to listen a moment after it has started. */
const SERVER = (requestsPerConnection: number): readonly string[] => [
  '-c',
  `sed -i "s/keepalive_requests.*/keepalive_requests ${requestsPerConnection};/" /etc/nginx/nginx.conf; sleep 0.3; ` +
    "exec /usr/sbin/nginx -e /dev/stderr -c /etc/nginx/nginx.conf -g 'daemon off;'",
];

/** Of each way. */
export type LoadSize = Pick<HttpLoadOptions, 'concurrency' | 'requests' | 'requestsPerSecond'>;

export interface Rollout {
  readonly order: UpdateOrder;
  readonly parallelism: number;
  /** Further changes of the service. */
  readonly flags?: readonly string[];
}

export interface RollingLoadOptions {
  /** Servers: ten, unless said otherwise. */
  readonly replicas?: number;
  /** Where the client is that asks by the service's name: the manager, unless said otherwise. */
  readonly clientHost?: string;
  /** Whose published port is asked: that of all, unless said otherwise. */
  readonly entrances?: readonly string[];
}

export class RollingLoad {
  readonly #cluster: Cluster;
  readonly #inside: LoadOrigin;
  readonly #entrances: readonly string[];

  private constructor(cluster: Cluster, inside: LoadOrigin, entrances: readonly string[]) {
    this.#cluster = cluster;
    this.#inside = inside;
    this.#entrances = entrances;
  }

  /** The servers (images of `loadWorkloads`), their network, and a client on it. */
  static async prepare(
    cluster: Cluster,
    requestsPerConnection: number,
    options: RollingLoadOptions = {},
  ): Promise<RollingLoad> {
    const { replicas = REPLICAS, clientHost = MANAGER } = options;
    await cluster.must(['network', 'create', '--driver', 'overlay', NETWORK]);
    const basic = ['--name', SERVICE, '--replicas', String(replicas), '--network', NETWORK, '--entrypoint', 'sh'];
    const publish = ['--publish', `${PUBLISHED_PORT}:${PORT}`, '--update-monitor', '100ms', '--stop-signal', 'SIGQUIT'];
    const server = [WORKLOAD_IMAGES.nginx, ...SERVER(requestsPerConnection)];
    await cluster.must(['service', 'create', '-d', ...basic, ...publish, ...server]);
    await cluster.createService(CLIENT, 1, ['--network', NETWORK, '--constraint', `node.hostname==${clientHost}`]);
    await cluster.settled(SERVICE, replicas, 3 * SOON_MS);
    const [client] = await cluster.settled(CLIENT, 1);
    const processId = client?.status?.container?.pid;
    assert.ok(processId, 'the client runs');
    const { entrances = cluster.lab.hosts.map(({ name }) => name) } = options;
    return new RollingLoad(cluster, { host: clientHost, processId }, entrances);
  }

  /** The network; the services go with all others at the end of a suite. */
  async remove(): Promise<void> {
    await this.#cluster.until(
      () => this.#cluster.swarm(['network', 'rm', NETWORK]),
      ({ exitCode }) => exitCode === 0,
      'the network to go',
    );
  }

  /**
   * Replaces every task, again and again until each way has had so many requests: none fails, whichever way, and servers
   * of before and after have answered.
   */
  async assertUnharmed(rollout: Rollout, load: LoadSize): Promise<void> {
    const startMs = performance.now();
    let rolls = 0;
    const reports = await this.assertAnswers(load, async (hasEnough) => {
      do {
        await this.#roll(rollout);
        rolls++;
      } while (!hasEnough());
      const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
      tell(`${rollout.order}, ${rollout.parallelism} at a time: ${rolls} times ${REPLICAS} tasks in ${seconds} s`);
    });
    for (const [index, report] of reports.entries()) {
      // A kept connection stays with its server: the few that there are may meet the same ones, before and after.
      const least = WAYS[index]?.keepAlive === true ? 1 : REPLICAS;
      assert.ok(Object.keys(report.answers).length > least, `servers of before and after: ${describeLoad(report)}`);
    }
  }

  /** Every request of each way is answered, while the work is done; it is told whether each has made its number. */
  async assertAnswers(
    load: LoadSize,
    work: (hasEnough: () => boolean) => Promise<void>,
  ): Promise<readonly HttpLoadReport[]> {
    const loads = await Promise.all(WAYS.map((way) => this.#start(way, load)));
    try {
      await work(() => loads.every((one) => one.requests >= load.requests));
      const reports = await Promise.all(loads.map((one) => one.finish()));
      for (const [index, report] of reports.entries()) tell(`${WAYS[index]?.name}: ${describeLoad(report)}`);
      for (const [index, report] of reports.entries()) assertAnswered(WAYS[index]?.name ?? '', report);
      return reports;
    } finally {
      for (const one of loads) one.kill();
    }
  }

  #start(way: LoadWay, load: LoadSize): Promise<HttpLoad> {
    const { lab } = this.#cluster;
    const common = { path: '/', keepAlive: way.keepAlive, timeoutMs: ANSWER_MS, ...load };
    if (way.entrance === 'address') {
      const targets = [{ host: SERVICE, port: PORT }];
      return HttpLoad.start(lab, this.#inside, { ...common, targets, nameserver: NAMESERVER });
    }
    const targets = this.#entrances.map((name) => ({ host: lab.host(name).address, port: PUBLISHED_PORT }));
    return HttpLoad.start(lab, { host: FABRIC }, { ...common, targets });
  }

  /** Returns when the last task of before has ended. */
  async #roll({ order, parallelism, flags = [] }: Rollout): Promise<void> {
    const before = new Set((await this.#cluster.running(SERVICE)).map(({ id }) => id));
    const rules = ['--update-order', order, '--update-parallelism', String(parallelism)];
    await this.#cluster.must(['service', 'update', '-d', '--force', ...rules, ...flags, SERVICE]);
    await this.#cluster.until(
      () => this.#cluster.running(SERVICE),
      (tasks) => !tasks.some(({ id }) => before.has(id)),
      `every task of ${SERVICE} to be told to stop`,
      ROLL_MS,
    );
    await this.#cluster.settled(SERVICE, REPLICAS, ROLL_MS);
  }
}

function assertAnswered(way: string, report: HttpLoadReport): void {
  const { failed, examples } = report;
  assert.equal(failed, 0, `${way}: ${describeLoad(report)}\n${examples.map((one) => JSON.stringify(one)).join('\n')}`);
}
