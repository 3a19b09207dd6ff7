/**
 * Goal: a node is drained and nobody notices; what cannot leave is named and stays until it is told to stop. Method: three
 * nginx under load by their name and by their published port, connections kept and one per request, while the nodes that
 * they are on are drained. All orders, and a leader that is killed on the way: test/long/e2e/drain.test.ts.
 */
import assert from 'node:assert/strict';
import { MANAGER, useCluster, WORKERS } from './support/cluster.ts';
import { RollingLoad, SERVICE } from './support/rolling-load.ts';
import { loadWorkloads } from './support/workload-images.ts';

const REQUESTS_PER_CONNECTION = 20;
const LOAD = { concurrency: 4, requests: 200, requestsPerSecond: 80 };
const REPLICAS = 3;
/** The command gives up first. */
const PATIENCE = { timeoutMs: 90_000 };
const PINNED = 'drain-pinned';

describe('e2e: drains', function () {
  const cluster = useCluster(this);
  let rolling: RollingLoad;

  before(async function () {
    this.timeout(120_000);
    await loadWorkloads(this, cluster(), ['nginx']);
    rolling = await RollingLoad.prepare(cluster(), REQUESTS_PER_CONNECTION, { replicas: REPLICAS });
  });

  afterEach(async () => {
    for (const worker of WORKERS) await cluster().must(['node', 'update', '--availability', 'active', worker]);
  });

  after(async () => {
    await rolling?.remove();
  });

  /** A node that runs a server, and is not the client's. */
  async function serving(): Promise<string> {
    const spread = await cluster().spread(SERVICE);
    const found = Object.keys(spread).find((name) => name !== MANAGER);
    assert.ok(found, `a worker runs a server: ${JSON.stringify(spread)}`);
    return found;
  }

  it('of nodes with servers under load fail no request; --wait returns when the node is empty', async () => {
    await rolling.assertAnswers(LOAD, async () => {
      for (const order of ['stop-first', 'start-first']) {
        await cluster().must(['service', 'update', '-d', '--update-order', order, SERVICE]);
        const node = await serving();
        const waits = ['--availability', 'drain', '--parallel', '1', '--wait', '--timeout', '60s'];
        assert.equal(await cluster().must(['node', 'update', ...waits, node], PATIENCE), `${node}\n`);
        assert.equal((await cluster().spread(SERVICE))[node], undefined);
        // Stop-first, what took its place starts when the node is empty.
        await cluster().settled(SERVICE, REPLICAS);
        const shown = await cluster().must(['node', 'inspect', '--pretty', node]);
        assert.match(shown, /\n Availability: +\tDrain\n Drain:\t+complete since /u);
        await cluster().must(['node', 'update', '--availability', 'active', node]);
      }
    });
  });

  it('of what fits nowhere else leave it running and name it; with --parallel 0 it stops', async () => {
    const [node] = WORKERS;
    await cluster().createService(PINNED, 1, [
      '--constraint',
      `node.hostname==${node}`,
      '--update-order',
      'stop-first',
    ]);
    const [before] = await cluster().settled(PINNED, 1);
    const drain = ['node', 'update', '--availability', 'drain', '--wait'];
    const refused = await cluster().refused([...drain, '--timeout', '3s', node]);
    assert.match(refused, /drain-pinned\.1: no suitable node \(/u);
    assert.match(refused, /still there: [^)]*drain-pinned\.1/u);
    assert.match(await cluster().must(['node', 'ls']), new RegExp(`${node} .*Drain \\(\\d+ left\\)`, 'u'));
    assert.deepEqual(
      (await cluster().running(PINNED)).map(({ id }) => id),
      [before?.id],
    );
    await cluster().must(['node', 'update', '--availability', 'active', node]);
    const [after] = await cluster().settled(PINNED, 1);
    assert.equal(after?.id, before?.id, 'it stays, and nothing waits for its place');
    await cluster().must([...drain, '--parallel', '0', '--timeout', '60s', node], PATIENCE);
    assert.equal((await cluster().running(PINNED)).length, 0);
  });
});
