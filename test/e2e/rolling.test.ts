/**
 * Goal: tasks are replaced and no request fails, and what is under way goes on. Method: nginx under load by its name and
 * by its published port, with connections that are kept and without, while all ten of its tasks are replaced.
 * Many more requests, and one task after the other: test/long/e2e/rolling.test.ts.
 */
import { useCluster } from './support/cluster.ts';
import { RollingLoad } from './support/rolling-load.ts';
import { loadWorkloads } from './support/workload-images.ts';

/** Connections end by themselves, as those of most servers do, within two seconds. */
const REQUESTS_PER_CONNECTION = 20;
const LOAD = { concurrency: 8, requests: 300, requestsPerSecond: 150 };

describe('e2e: rolling restarts', function () {
  const cluster = useCluster(this);
  let rolling: RollingLoad;

  before(async function () {
    this.timeout(120_000);
    await loadWorkloads(this, cluster(), ['nginx']);
    rolling = await RollingLoad.prepare(cluster(), REQUESTS_PER_CONNECTION);
  });

  after(async () => {
    await rolling?.remove();
  });

  it('stop-first fail no request', async () => {
    await rolling.assertUnharmed({ order: 'stop-first', parallelism: 5 }, LOAD);
  });

  it('start-first fail no request', async () => {
    await rolling.assertUnharmed({ order: 'start-first', parallelism: 5 }, LOAD);
  });

  it('of servers that stop without a thought fail no request', async () => {
    const flags = ['--stop-signal', 'SIGKILL'];
    await rolling.assertUnharmed({ order: 'start-first', parallelism: 10, flags }, LOAD);
  });
});
