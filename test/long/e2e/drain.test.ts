/**
 * Goal: nodes are drained and nobody notices, in whatever order, and whoever leads. Method: three nginx under load by
 * their name and by their published port, connections kept and one per request, while the nodes that they are on are
 * drained one after the other; then the same while the leader's daemon is killed in the middle of each drain.
 */
import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { seededRandom, tell } from '#test/e2e/support/figures.ts';
import { useManagers } from '#test/e2e/support/managers.ts';
import { RollingLoad, SERVICE } from '#test/e2e/support/rolling-load.ts';
import { loadWorkloads } from '#test/e2e/support/workload-images.ts';

const REQUESTS = Number(process.env['STARLING_REQUESTS'] ?? 20_000);
/** As nginx has it by default. */
const REQUESTS_PER_CONNECTION = 1000;
const REPLICAS = 3;
const CLIENT_HOST = 'w1';
/** These are drained: the client stays where it is, and managers die. */
const SERVERS = ['w2', 'w3'];
const KILLS = Number(process.env['STARLING_KILLS'] ?? 4);
const DRAIN = ['node', 'update', '--availability', 'drain', '--wait', '--timeout', '3m'];
/** The command gives up first. */
const PATIENCE = { timeoutMs: 4 * 60_000 };
/** A drain takes a few seconds: a moment within it. */
const MOMENT_MS = 1_500;
const LONGEST_MS = 20 * 60_000;

describe('long e2e: drains', function () {
  const managers = useManagers(this, { managers: 3, workers: 3 });
  const cluster = () => managers().cluster;
  let rolling: RollingLoad;

  before(async function () {
    this.timeout(240_000);
    await managers().formed();
    await loadWorkloads(this, cluster(), ['nginx']);
    // Managers run none of it: their tables stand still while their daemon is away.
    for (const name of managers().names) await cluster().must(['node', 'update', '--availability', 'drain', name]);
    const options = { replicas: REPLICAS, clientHost: CLIENT_HOST, entrances: [CLIENT_HOST, ...SERVERS] };
    rolling = await RollingLoad.prepare(cluster(), REQUESTS_PER_CONNECTION, options);
  });

  async function activate(node: string): Promise<void> {
    await cluster().must(['node', 'update', '--availability', 'active', node]);
  }

  async function assertEmpty(node: string): Promise<void> {
    assert.equal((await cluster().spread(SERVICE))[node], undefined);
    const { availability } = (await cluster().nodes()).get(node)?.spec ?? {};
    assert.equal(availability, NodeAvailability.DRAIN);
    // Stop-first, the last of them starts when the node is empty.
    await cluster().settled(SERVICE, REPLICAS, 60_000);
  }

  for (const order of ['stop-first', 'start-first', 'auto'])
    it(`${order}: no request of ${REQUESTS} each way fails`, async function () {
      this.timeout(LONGEST_MS);
      await cluster().must(['service', 'update', '-d', '--update-order', order, SERVICE]);
      let drains = 0;
      await rolling.assertAnswers({ concurrency: 8, requests: REQUESTS }, async (hasEnough) => {
        do {
          const node = SERVERS[drains++ % SERVERS.length] ?? '';
          await cluster().must([...DRAIN, node], PATIENCE);
          await assertEmpty(node);
          await activate(node);
        } while (!hasEnough() || drains < SERVERS.length);
      });
      tell(`${order}: ${drains} drains`);
    });

  it(`the leader is killed in each of ${KILLS} drains: no request fails, and each ends`, async function () {
    this.timeout(LONGEST_MS);
    const random = seededRandom();
    await rolling.assertAnswers({ concurrency: 4, requests: 1000, requestsPerSecond: 200 }, async () => {
      for (let kill = 0; kill < KILLS; kill++) {
        const node = SERVERS[kill % SERVERS.length] ?? '';
        const leader = await managers().leader();
        cluster().entrance = managers().others(leader)[0] ?? '';
        const drained = cluster().must([...DRAIN, node], PATIENCE);
        await wait(random() * MOMENT_MS); // the moment is what varies
        await cluster().lab.killDaemon(leader);
        try {
          await drained;
          await assertEmpty(node);
        } finally {
          await cluster().lab.start(leader);
        }
        await managers().formed();
        await activate(node);
      }
    });
  });
});
