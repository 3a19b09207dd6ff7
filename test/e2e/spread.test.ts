/**
 * Goal: replicas spread over the nodes, also when there are some already. Method: services on a swarm of four nodes,
 * one of them the manager.
 */
import assert from 'node:assert/strict';
import { IMAGE, MANAGER, SLEEP, useCluster } from './support/cluster.ts';

describe('e2e: spread', function () {
  const cluster = useCluster(this);

  it('12 replicas on a manager and three workers are 3 on each', async () => {
    const { stdout } = await cluster().swarm([
      'service',
      'create',
      '--name',
      'web',
      '--replicas',
      '12',
      IMAGE,
      ...SLEEP,
    ]);
    assert.match(stdout, /verify: Service \w{25} converged/);
    assert.deepEqual(await cluster().spread('web'), { m1: 3, w1: 3, w2: 3, w3: 3 });
    const rows = (await cluster().must(['service', 'ps', '--format', '{{.Name}} {{.CurrentState}}', 'web'])).trim();
    assert.equal(rows.split('\n').length, 12);
    for (const row of rows.split('\n')) assert.match(row, /^web\.\d+ Running (?:less than a|\d+) seconds? ago$/);
    assert.match(await cluster().must(['service', 'ls']), /web\s+replicated\s+12\/12\s+localhost\/busybox:e2e/);
  });

  it('another service spreads by itself, and scaling keeps it even', async () => {
    await cluster().createService('api', 2);
    await cluster().settled('api', 2);
    await cluster().must(['service', 'scale', '-d', 'api=6']);
    await cluster().settled('api', 6);
    const counts = Object.values(await cluster().spread('api')).toSorted((a, b) => a - b);
    assert.deepEqual(counts, [1, 1, 2, 2]);
  });

  it('a drained manager gives its tasks away and takes no new ones', async () => {
    const drain = ['--availability', 'drain', '--wait', '--timeout', '60s'];
    await cluster().must(['node', 'update', ...drain, MANAGER], { timeoutMs: 90_000 });
    await cluster().settled('web', 12);
    assert.deepEqual(await cluster().spread('web'), { w1: 4, w2: 4, w3: 4 });
    await cluster().must(['node', 'update', '--availability', 'active', MANAGER]);
  });
});
