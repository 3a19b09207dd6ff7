/**
 * Goal: a release that is no good costs nobody a request: it is rolled back by itself with at least nine of ten tasks
 * healthy, and says why. Method: ten nginx under load by their name and by their published port, start-first, and four
 * ways to be bad: an image that is not there, a start that crashes, a check that never succeeds, a start that hangs.
 */
import assert from 'node:assert/strict';
import { UpdateState } from '#gen/swarm/v1/objects.ts';
import { releaseBadly } from '#test/e2e/support/bad-release.ts';
import { useCluster } from '#test/e2e/support/cluster.ts';
import { tell } from '#test/e2e/support/figures.ts';
import { REPLICAS, RollingLoad } from '#test/e2e/support/rolling-load.ts';
import { loadWorkloads } from '#test/e2e/support/workload-images.ts';

const WAYS: readonly { readonly name: string; readonly flags: readonly string[]; readonly says: RegExp }[] = [
  {
    name: 'an image that is not there',
    flags: ['--image', 'localhost/nothing:here', '--no-resolve-image'],
    says: /failure or early termination of task \w+: /,
  },
  {
    name: 'a start that crashes',
    flags: ['--args', '-c "echo no configuration; sleep 1; exit 3"'],
    says: /failure or early termination of task \w+: .*3/,
  },
  {
    name: 'a check that never succeeds',
    flags: ['--readiness-probe', 'tcp:9998,interval=500ms,timeout=1s'],
    says: /no task became healthy within 20s: task \w+ runs and is not ready/,
  },
  {
    name: 'a start that hangs',
    flags: ['--startup-probe', 'tcp:9999,interval=1s,timeout=1s,failures=1000'],
    says: /no task became healthy within 20s: task \w+ /,
  },
];

/** Of each way to the servers, in all. */
const REQUESTS = Number(process.env['STARLING_REQUESTS'] ?? 100_000) / WAYS.length;
const LONGEST_MS = 20 * 60_000;

describe('long e2e: bad releases', function () {
  const cluster = useCluster(this);
  let rolling: RollingLoad;

  before(async function () {
    this.timeout(180_000);
    await loadWorkloads(this, cluster(), ['nginx']);
    rolling = await RollingLoad.prepare(cluster(), 1000);
  });

  after(async () => {
    await rolling?.remove();
  });

  for (const { name, flags, says } of WAYS)
    it(`${name}: rolled back by itself, and no request of ${REQUESTS} each way fails`, async function () {
      this.timeout(LONGEST_MS);
      await rolling.assertAnswers({ concurrency: 4, requests: REQUESTS }, async () => {
        const { fewestHealthy, status } = await releaseBadly(cluster(), flags);
        tell(`${name}: ${fewestHealthy} of ${REPLICAS} were healthy; ${status.message}`);
        assert.equal(status.state, UpdateState.ROLLBACK_COMPLETED);
        assert.match(status.message, says);
        assert.ok(fewestHealthy >= REPLICAS - 1, `${fewestHealthy} of ${REPLICAS} were healthy`);
      });
    });
});
