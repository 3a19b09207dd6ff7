/**
 * Goal: whatever happens to one manager or its wires, nothing acknowledged is lost, somebody decides, and the swarm says
 * what it sees. Method: faults of the lab on three and five managers under load; histories are checked.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { findClockLibrary } from '#src/lab/host-clock.ts';
import { SOON_MS } from '#test/e2e/support/cluster.ts';
import { tell } from '#test/e2e/support/figures.ts';
import type { Load } from '#test/e2e/support/load.ts';
import { useManagers } from '#test/e2e/support/managers.ts';
import { skipBecause } from '#test/support/skip-because.ts';

const PAUSE_MS = 30_000;
const FLAPPING_MS = 30_000;
const CUT_MS = 8_000;

for (const count of [3, 5])
  describe(`long e2e: ${count} managers, partitions and pauses`, function () {
    this.timeout(300_000);
    const managers = useManagers(this, { managers: count, workers: 2 });
    const cluster = () => managers().cluster;

    before(async () => {
      await managers().formed();
      await cluster().createService('web', 6, ['--constraint', 'node.role==worker']);
      await cluster().settled('web', 6);
    });

    async function during(what: string, fault: (load: Load) => Promise<void>): Promise<void> {
      const containers = await managers().containers('web');
      const load = await managers().load();
      await load.more(50, SOON_MS);
      await fault(load);
      await managers().formed();
      const { acknowledged, unknownOutcomes, failures } = await load.finishWell();
      tell(`${what}: ${acknowledged} writes, ${unknownOutcomes} unknown; ${JSON.stringify(failures)}`);
      assert.deepEqual(await managers().containers('web'), containers);
    }

    for (const direction of ['both', 'in', 'out'] as const)
      it(`the leader is cut off (${direction})`, () =>
        during(`cut ${direction}`, async (load) => {
          const leader = await managers().formed();
          const others = managers().others(leader);
          cluster().entrance = others[0] ?? '';
          const cutMs = performance.now();
          for (const other of others) await cluster().lab.cut(leader, other, direction);
          if (direction === 'out') {
            // Its followers do not hear it any more, and elect another.
            assert.ok(others.includes(await managers().leader(others)));
          }
          const next = await load.next(30_000);
          tell(`next write ${Math.round(next.returnedMs - cutMs)} ms after the cut`);
          if (direction === 'both') await managers().refusedForQuorum(leader, ['service', 'ls']);
          await wait(CUT_MS); // what an unstable leader would show, it shows in this time
          await load.next(30_000);
          await cluster().lab.heal();
        }));

    for (const direction of ['both', 'in', 'out'] as const)
      it(`a minority is cut off (${direction}); the leader stays`, () =>
        during(`minority cut ${direction}`, async (load) => {
          const leader = await managers().formed();
          const minority = managers()
            .others(leader)
            .slice(0, (count - 1) / 2);
          const majority = managers().others(...minority);
          cluster().entrance = leader;
          for (const one of minority) for (const other of majority) await cluster().lab.cut(one, other, direction);
          if (direction === 'both')
            for (const one of minority) await managers().refusedForQuorum(one, ['service', 'ls']);
          await wait(CUT_MS); // what a disturbed leader would show, it shows in this time
          assert.equal(await managers().leader([leader]), leader);
          await load.next(30_000);
          await cluster().lab.heal();
          assert.equal(await managers().formed(), leader);
        }));

    it('two parts of which none has a majority: nobody decides, and all is well afterwards', () =>
      during('no majority', async () => {
        for (const one of managers().names)
          for (const other of managers().names) if (one < other) await cluster().lab.cut(one, other);
        for (const name of managers().names) await managers().refusedForQuorum(name, ['service', 'ls']);
        await cluster().lab.heal();
      }));

    it('the leader is paused for 30 s, then goes on', () =>
      during('pause', async (load) => {
        const leader = await managers().formed();
        const others = managers().others(leader);
        cluster().entrance = others[0] ?? '';
        const pausedMs = performance.now();
        await cluster().host(leader).daemon.pause();
        const next = await managers().leader(others);
        tell(`next write ${Math.round((await load.next(30_000)).returnedMs - pausedMs)} ms after the pause`);
        await wait(PAUSE_MS - (performance.now() - pausedMs)); // the length of the pause is what is tested
        await cluster().host(leader).daemon.continue();
        assert.equal(await managers().formed(), next);
      }));

    it('a flapping follower does not cost the leader its place', () =>
      during('flapping', async (load) => {
        const leader = await managers().formed();
        cluster().entrance = leader;
        const [follower = ''] = managers().others(leader);
        const elections = await managers().elections();
        const flapping = cluster().lab.flap(follower, { downMs: 1_500, upMs: 500 });
        await wait(FLAPPING_MS); // long enough for a dozen cuts
        await flapping.stop();
        await load.next(30_000);
        assert.ok(flapping.cuts >= 10);
        assert.equal(await managers().formed(), leader);
        assert.equal(await managers().elections(), elections, 'no election took place');
      }));
  });

describe('long e2e: managers, disks and clocks', function () {
  this.timeout(300_000);
  let hasClocks = false;
  before(async () => {
    hasClocks = (await findClockLibrary()) !== undefined;
  });
  const managers = useManagers(this, async () => ({
    managers: 3,
    workers: 1,
    diskMegabytes: 384,
    clocks: (await findClockLibrary()) !== undefined,
  }));
  const cluster = () => managers().cluster;

  for (const seconds of [3600, -3600])
    for (const role of ['leader', 'follower'] as const)
      it(`the clock of a ${role} jumps by ${seconds} s`, async function () {
        if (!hasClocks) skipBecause(this, 'libfaketime is not installed (apt-get install libfaketime)');
        const leader = await managers().formed();
        const victim = role === 'leader' ? leader : (managers().others(leader)[0] ?? '');
        const load = await managers().load();
        await load.more(50, SOON_MS);
        await cluster().host(victim).setClock(seconds);
        await wait(CUT_MS); // what a clock that went wrong would do, it does in this time
        await load.more(50, SOON_MS);
        assert.equal(await managers().formed(), leader, 'a wall clock decides nothing');
        await cluster().host(victim).setClock(0);
        await load.more(50, SOON_MS);
        assert.equal(await managers().formed(), leader);
        await load.finishWell();
      });

  for (const role of ['follower', 'leader'] as const)
    it(`a full disk stops the ${role} alone; the swarm says so; freed, it comes back`, async () => {
      const leader = await managers().formed();
      const others = managers().others(leader);
      const victim = role === 'leader' ? leader : (others[0] ?? '');
      cluster().entrance = managers().others(victim)[0] ?? '';
      const load = await managers().load({ valueBytes: 20_000, writesPerSecond: 100 });
      await load.more(20, SOON_MS);
      await cluster().host(victim).disk.fill();
      await cluster().until(
        async () =>
          (
            await cluster()
              .nodesSeenFrom(cluster().entrance, 3000)
              .catch(() => undefined)
          )?.get(victim),
        (node) => node !== undefined && node.managerStatus?.reachable === false,
        `${victim} to be seen as unreachable`,
        2 * SOON_MS,
      );
      await load.more(20, SOON_MS);
      const log = await readFile(cluster().host(victim).paths.log, 'utf8');
      assert.match(log, /no space|disk is full|ENOSPC/i);
      await cluster().host(victim).disk.free();
      await cluster().lab.killDaemon(victim, 'SIGTERM');
      await cluster().lab.start(victim);
      await managers().formed();
      const report = await load.finishWell();
      tell(`${report.acknowledged} writes; ${JSON.stringify(report.failures)}`);
    });

  it('a slow disk of the leader loses nothing', async () => {
    const leader = await managers().formed();
    const load = await managers().load();
    await load.more(50, SOON_MS);
    await cluster().host(leader).limitWrites(20);
    const slowMs = performance.now();
    await load.more(20, 60_000);
    await wait(CUT_MS); // what a leader with such a disk does, it does in this time
    tell(
      `longest write ${Math.round(load.longestSinceMs(slowMs))} ms; leader before ${leader}, after ${await managers().leader()}`,
    );
    await cluster().host(leader).limitWrites(undefined);
    await load.more(50, SOON_MS);
    await managers().formed();
    const report = await load.finishWell();
    tell(`${report.acknowledged} writes; ${JSON.stringify(report.failures)}`);
  });
});
