/**
 * Goal: as test/e2e/rolling.test.ts, 100,000 requests each way. Method: the same, as fast as the machine answers; tasks
 * are replaced over and over until every way has had its requests.
 */
import { useCluster } from '#test/e2e/support/cluster.ts';
import { RollingLoad } from '#test/e2e/support/rolling-load.ts';
import { loadWorkloads } from '#test/e2e/support/workload-images.ts';

const REQUESTS = Number(process.env['STARLING_REQUESTS'] ?? 100_000);
const LOAD = { concurrency: 8, requests: REQUESTS };
/** As nginx has it by default. */
const REQUESTS_PER_CONNECTION = 1000;
/** Four ways at the same time, on two processors. */
const LONGEST_MS = 40 * 60_000;

describe('long e2e: rolling restarts', function () {
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

  for (const order of ['stop-first', 'start-first'] as const)
    it(`${order} fail no request of ${REQUESTS} each way`, async function () {
      this.timeout(LONGEST_MS);
      await rolling.assertUnharmed({ order, parallelism: 3 }, LOAD);
    });
});
