/**
 * Traffic that runs beside a test: to the service `web`, by its name from a task and from outside to its port on every
 * host, and connections to redis and postgres that stay open.
 */
import assert from 'node:assert/strict';
import type { Cluster } from './cluster.ts';
import { Conversation } from './conversation.ts';
import { describeLoad, HttpLoad, type LoadOrigin } from './http-load/http-load.ts';
import { runningTask, WEB_PORT } from './network-lab.ts';
import { processIdOf } from './network-probe/ask-from.ts';

const OUTSIDE: LoadOrigin = { host: 'fabric' };
const NAMESERVER = '127.0.0.11';
const TIMEOUT_MS = 5000;
/** Of each load. Few enough to leave the machine to what is tested. */
const REQUESTS_PER_SECOND = 40;
const CONNECTIONS = 12;

interface Flow {
  readonly what: string;
  readonly keepAlive: boolean;
  readonly load: HttpLoad;
}

export class NetworkTraffic {
  readonly #flows: readonly Flow[];
  readonly #conversations: readonly Conversation[];

  private constructor(flows: readonly Flow[], conversations: readonly Conversation[]) {
    this.#flows = flows;
    this.#conversations = conversations;
  }

  /** From a container on this host and from outside, each on connections that are kept and on new ones. */
  static async start(cluster: Cluster, clientHost: string): Promise<NetworkTraffic> {
    const processId = processIdOf(await runningTask(cluster, 'web', clientHost));
    const byName = [{ host: 'web', port: 80 }];
    const byPort = cluster.lab.hosts.map(({ address }) => ({ host: address, port: WEB_PORT }));
    const flows: Flow[] = [];
    for (const keepAlive of [true, false])
      for (const [what, origin, targets, nameserver] of [
        ['its name', { host: clientHost, processId }, byName, NAMESERVER],
        ['its published port', OUTSIDE, byPort, undefined],
      ] as const) {
        const load = await HttpLoad.start(cluster.lab, origin, {
          ...{ targets, path: '/', keepAlive, nameserver, timeoutMs: TIMEOUT_MS, requests: 0 },
          ...{ concurrency: CONNECTIONS, requestsPerSecond: REQUESTS_PER_SECOND },
        });
        flows.push({ what: `by ${what}, ${keepAlive ? 'kept connections' : 'a connection each'}`, keepAlive, load });
      }
    const conversations = [
      Conversation.redis(await runningTask(cluster, 'cache')),
      Conversation.postgres(await runningTask(cluster, 'db')),
    ];
    const traffic = new NetworkTraffic(flows, conversations);
    await traffic.conversationsGoOn();
    return traffic;
  }

  /** The connections to redis and postgres are those of the start, and answer. */
  async conversationsGoOn(): Promise<void> {
    for (const conversation of this.#conversations) await conversation.goesOn();
  }

  /** Ends it: no request failed, and every connection that was kept is that of the start. Returns how many there were. */
  async finishUnharmed(): Promise<number> {
    await this.conversationsGoOn();
    for (const conversation of this.#conversations) conversation.end();
    const reports = await Promise.all(
      this.#flows.map(async ({ what, keepAlive, load }) => ({ what, keepAlive, report: await load.finish() })),
    );
    const harmed = reports.flatMap(({ what, keepAlive, report }) => {
      const isWhole = report.failed === 0 && report.requests > CONNECTIONS;
      if (isWhole && (!keepAlive || report.connections === CONNECTIONS)) return [];
      return [`${what}: ${describeLoad(report)}`, ...report.examples.map((one) => JSON.stringify(one))];
    });
    assert.equal(harmed.join('\n'), '');
    return reports.reduce((sum, { report }) => sum + report.requests, 0);
  }

  /** For a test that has failed already. */
  kill(): void {
    for (const { load } of this.#flows) load.kill();
    for (const conversation of this.#conversations) conversation.end();
  }
}
