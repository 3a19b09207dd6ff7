/**
 * Goal: no connection notices that daemons are killed or that there is no manager for long; a host that is lost is
 * forgotten at once, whichever it is. Method: the lab of test/e2e/networks.test.ts, every host in turn, five minutes
 * without managers, with traffic all the time.
 */
import assert from 'node:assert/strict';
import type { Cluster } from '#test/e2e/support/cluster.ts';
import { useManagers } from '#test/e2e/support/managers.ts';
import {
  FORGOTTEN_MS,
  killDaemon,
  patientWithNodes,
  returns,
  withoutManagers,
} from '#test/e2e/support/network-faults.ts';
import { mapsOfLab, NETWORK_LAB, prepareNetworkLab, wholeAgain } from '#test/e2e/support/network-lab.ts';
import { assertAllReached, assertApart } from '#test/e2e/support/network-map.ts';
import { NetworkTraffic } from '#test/e2e/support/network-traffic.ts';
import { forgetsHost } from '#test/e2e/support/node-tables.ts';

const AWAY_MS = 5 * 60_000;
const ROUNDS = 3;
/** Between two looks at all names and addresses. */
const LOOK_MS = 20_000;

describe('e2e: networks, for long', function () {
  this.timeout(12 * 60_000);
  const managers = useManagers(this, NETWORK_LAB);
  const cluster = (): Cluster => managers().cluster;
  let traffic: NetworkTraffic | undefined;

  before(async function () {
    this.timeout(240_000);
    await prepareNetworkLab(this, cluster());
  });

  afterEach(() => traffic?.kill());

  for (const which of ['a worker', 'a manager that follows', 'the leader'])
    it(`forget ${which} that loses its power within ${FORGOTTEN_MS / 1000} s, and know it again`, async () => {
      const leader = await managers().leader();
      const [follower = ''] = managers().others(leader);
      const host = { 'a worker': 'w3', 'a manager that follows': follower }[which] ?? leader;
      // Whom the test asks is one that stays.
      cluster().entrance = managers().others(host)[0] ?? '';
      const times = await forgetsHost(cluster(), host);
      const late = Object.entries(times).filter(([, tookMs]) => tookMs > FORGOTTEN_MS);
      assert.deepEqual(late, [], JSON.stringify(times));
      await returns(cluster(), host);
      await managers().formed();
      await wholeAgain(cluster());
    });

  it('go on when the daemon of any host is killed', async () => {
    await patientWithNodes(cluster());
    traffic = await NetworkTraffic.start(cluster(), 'w1');
    for (let round = 0; round < ROUNDS; round++)
      for (const { name } of cluster().lab.hosts) {
        cluster().entrance = managers().others(name)[0] ?? '';
        await killDaemon(managers(), name);
        await traffic.conversationsGoOn();
      }
    await traffic.finishUnharmed();
  });

  it('go on while there is no manager for five minutes, and daemons of workers are killed', async () => {
    traffic = await NetworkTraffic.start(cluster(), 'm2');
    const maps = Object.values(await mapsOfLab(cluster()));
    await withoutManagers(managers(), AWAY_MS, async () => {
      const workers = ['w1', 'w2', 'w3'];
      for (const endMs = performance.now() + AWAY_MS - LOOK_MS; performance.now() < endMs; ) {
        const startMs = performance.now();
        const worker = workers.shift();
        if (worker !== undefined) await cluster().lab.killDaemon(worker);
        for (const map of maps) await assertAllReached(map);
        await assertApart(maps);
        if (worker !== undefined) await cluster().lab.start(worker);
        await traffic?.conversationsGoOn();
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, startMs + LOOK_MS - performance.now()))); // the pace of looks
      }
    });
    await traffic.finishUnharmed();
    for (const map of Object.values(await mapsOfLab(cluster()))) await assertAllReached(map);
  });
});
