/**
 * Goal: the root of the swarm is replaced while the leader dies twice and a worker stays away, and nobody who uses the
 * services notices. Method: three managers and five workers, requests to a service from inside and outside the whole
 * time; the worker is left behind by name, and joins again at the end.
 */
import assert from 'node:assert/strict';
import { NodeState } from '#gen/swarm/v1/objects.ts';
import { tell } from '#test/e2e/support/figures.ts';
import { useManagers } from '#test/e2e/support/managers.ts';
import { RollingLoad, SERVICE } from '#test/e2e/support/rolling-load.ts';
import { loadWorkloads } from '#test/e2e/support/workload-images.ts';

const REPLICAS = 4;
const LOAD = { concurrency: 2, requests: Number(process.env['STARLING_REQUESTS'] ?? 4_000), requestsPerSecond: 50 };
/** Down the whole time. */
const AWAY = 'w5';
const KILLS = 2;
const ROTATED_MS = 180_000;

describe('long e2e: rotation of the root', function () {
  const managers = useManagers(this, { managers: 3, workers: 5 });
  const cluster = () => managers().cluster;
  let load: RollingLoad | undefined;

  before(async function () {
    this.timeout(240_000);
    await managers().formed();
    await loadWorkloads(this, cluster(), ['nginx']);
    await cluster().must(['node', 'update', '--availability', 'drain', AWAY]);
    load = await RollingLoad.prepare(cluster(), 1000, {
      replicas: REPLICAS,
      clientHost: 'w1',
      entrances: ['w1', 'w2'],
    });
  });

  it('completes with the leader killed twice and a worker away: no request fails, no container restarts', async function () {
    this.timeout(600_000);
    assert.ok(load);
    const before = await managers().containers(SERVICE);
    const root = await cluster().must(['ca']);
    await cluster().lab.stopDaemon(AWAY);
    await cluster().nodeState(AWAY, NodeState.DOWN, 60_000);
    await load.assertAnswers(LOAD, async (hasEnough) => {
      const startMs = performance.now();
      await cluster().must(['ca', '--rotate', '--detach']);
      for (let kill = 0; kill < KILLS; kill++) {
        const leader = await managers().leader();
        cluster().entrance = managers().others(leader)[0] ?? '';
        await cluster().lab.killDaemon(leader);
        await managers().leader(managers().others(leader));
        await cluster().lab.start(leader);
        await managers().formed();
      }
      await cluster().until(
        async () => (await cluster().client().rootCa.getRootCa({})).progress,
        (progress) => progress?.done === 7 && progress.missing.every(({ hostname }) => hostname === AWAY),
        'everybody else to be done, and the worker to be named',
        ROTATED_MS,
      );
      assert.equal(await cluster().must(['ca']), root, 'it waits');
      const said = await cluster().must(['ca', '--leave-behind', AWAY], { timeoutMs: ROTATED_MS });
      assert.match(said, /rotated TLS certificates: 7\/7 nodes/);
      tell(`rotated in ${((performance.now() - startMs) / 1000).toFixed(1)} s, ${KILLS} kills of the leader included`);
      await cluster().until(async () => hasEnough(), Boolean, 'the load to have made its number', ROTATED_MS);
    });
    assert.notEqual(await cluster().must(['ca']), root);
    assert.deepEqual(await managers().containers(SERVICE), before);
    const nodes = await cluster().nodes();
    const issuers = [...nodes].filter(([name]) => name !== AWAY).map(([, node]) => node.description?.tls?.issuerKeyId);
    assert.equal(new Set(issuers).size, 1);
  });

  it('the worker that was left behind is told so, and joins again', async function () {
    this.timeout(180_000);
    await cluster().lab.start(AWAY);
    await cluster().until(
      () => cluster().mustOn(AWAY, ['info']),
      (info) => /signed by a root of this swarm that has been replaced since; .*swarm leave --force/.test(info),
      'the worker to know what has become of it',
      60_000,
    );
    await cluster().mustOn(AWAY, ['leave', '--force']);
    await managers().joinAs('worker', AWAY, await managers().leader());
    await cluster().nodeState(AWAY, NodeState.READY, 60_000);
  });
});
