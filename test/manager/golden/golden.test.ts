/**
 * Goal: what a release wrote to disk, every later one reads. Method: the log of a manager and a saved snapshot of each
 * release (record.ts), opened on a disk in memory, compared with what was in them.
 */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { openSnapshot } from '#manager/backup/index.ts';
import { MemoryDisk } from '#manager/log/index.ts';
import { forceNewCluster } from '#manager/raft/index.ts';
import { until } from '#test/manager/raft/support/members.ts';
import { MemoryNetwork } from '#test/manager/raft/support/memory-network.ts';
import { DIRECTORY, type Golden, objectsOf, plain, readGolden, releases, startManager } from './storage.ts';

const names = await releases();

describe('files of former releases', function () {
  this.timeout(20_000);

  it('are kept', () => assert.ok(names.includes('0.1.0'), names.join()));

  for (const release of names) {
    describe(release, () => {
      let golden: Golden;
      before(async () => {
        golden = await readGolden(release);
      });

      const diskOf = (): MemoryDisk => new MemoryDisk({ random: new SeededRandom(1) }, golden.log);
      const start = (disk: MemoryDisk) => {
        const { nodeId, address, dataKey } = golden.expected;
        return startManager({
          network: new MemoryNetwork(),
          nodeId,
          address,
          dataKey: Buffer.from(dataKey, 'hex'),
          origin: { kind: 'resume' },
          seed: 5,
          disk,
        });
      };

      it('has a log with several segments and a snapshot', () => {
        const all = [...golden.log.keys()];
        assert.ok(all.filter((name) => name.endsWith('.wal')).length > 1, all.join());
        assert.ok(
          all.some((name) => name.endsWith('.snapshot')),
          all.join(),
        );
      });

      it('has a log that a manager goes on from, with its members', async () => {
        const { log, store, started } = start(diskOf());
        await started;
        assert.deepEqual(
          log
            .members()
            .filter(({ voter }) => voter)
            .map(({ nodeId }) => nodeId)
            .sort(),
          golden.expected.voters,
        );
        assert.equal(log.self()?.address, golden.expected.address);
        assert.equal(log.leadership().state, 'none');
        await store.close();
      });

      it('has a log with everything that was acknowledged', async () => {
        const { nodeId, address, dataKey, version, objects } = golden.expected;
        const disk = diskOf();
        const keys = { current: Buffer.from(dataKey, 'hex') };
        await forceNewCluster({
          directory: DIRECTORY,
          keys,
          logger: silentLogger,
          disk,
          nodeId,
          address,
          featureLevel: 2,
        });
        const { log, store, started } = start(disk);
        await started;
        await until(() => log.leadership().state === 'leader', 'it leads');
        assert.equal(store.view().version, version);
        assert.partialDeepStrictEqual(objectsOf(store.view()), objects);
        await store.close();
      });

      it('has a saved snapshot that is read', async () => {
        const { snapshotKey, savedVersion, objects, voters } = golden.expected;
        const source = async function* () {
          yield golden.snapshot;
          await Promise.resolve();
        };
        const pace = { clock: new ManualClock(), sliceMs: 5 };
        const saved = await openSnapshot(source(), Buffer.from(snapshotKey, 'hex'), release, pace);
        assert.equal(saved.state.version, savedVersion);
        assert.equal(saved.description.clusterName, 'golden');
        assert.deepEqual(saved.members.map(({ nodeId }) => nodeId).sort(), voters);
        const { cluster, node, revision, task } = objects;
        assert.partialDeepStrictEqual(objectsOf(saved.state), { cluster, node, revision, task });
        assert.partialDeepStrictEqual(plain([...saved.state.all('service')]), [
          { spec: { name: 'web', labels: { count: '96' } } },
        ]);
      });
    });
  }
});
