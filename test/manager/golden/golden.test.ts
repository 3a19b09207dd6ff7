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
import {
  DIRECTORY,
  type ExpectedLog,
  type Golden,
  objectsOf,
  plain,
  readGolden,
  releases,
  startManager,
} from './storage.ts';

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

      const filesOf = (name: string): ReadonlyMap<string, Uint8Array> => golden.logs.get(name) ?? new Map();
      const start = (disk: MemoryDisk, { nodeId, address }: ExpectedLog) =>
        startManager({
          network: new MemoryNetwork(),
          nodeId,
          address,
          dataKey: Buffer.from(golden.expected.dataKey, 'hex'),
          origin: { kind: 'resume' },
          seed: 5,
          disk,
        });
      const forEachLog = async (check: (log: ExpectedLog, disk: MemoryDisk) => Promise<void>): Promise<void> => {
        for (const log of golden.expected.logs)
          await check(log, new MemoryDisk({ random: new SeededRandom(1) }, filesOf(log.name)));
      };

      it('has a log with several segments and a snapshot', () => {
        const all = [...filesOf('follower').keys()];
        assert.ok(all.filter((name) => name.endsWith('.wal')).length > 1, all.join());
        assert.ok(
          all.some((name) => name.endsWith('.snapshot')),
          all.join(),
        );
      });

      it('has logs that a manager goes on from, with its members', () =>
        forEachLog(async (expected, disk) => {
          const { log, store, started } = start(disk, expected);
          await started;
          const voters = log.members().filter(({ voter }) => voter);
          assert.deepEqual(voters.map(({ nodeId }) => nodeId).sort(), golden.expected.voters);
          assert.equal(log.self()?.address, expected.address);
          assert.equal(log.leadership().state, 'none');
          await store.close();
        }));

      it('has logs with everything that was acknowledged', () =>
        forEachLog(async (expected, disk) => {
          const { nodeId, address } = expected;
          const keys = { current: Buffer.from(golden.expected.dataKey, 'hex') };
          const options = { directory: DIRECTORY, keys, logger: silentLogger, disk };
          await forceNewCluster({ ...options, nodeId, address, featureLevel: 2 });
          const { log, store, started } = start(disk, expected);
          await started;
          await until(() => log.leadership().state === 'leader', 'it leads');
          assert.equal(store.view().version, golden.expected.version);
          assert.partialDeepStrictEqual(objectsOf(store.view()), golden.expected.objects);
          await store.close();
        }));

      it('has a saved snapshot that is read', async () => {
        const { snapshotKey, savedVersion, objects, savedMembers } = golden.expected;
        const source = async function* () {
          yield golden.snapshot;
          await Promise.resolve();
        };
        const pace = { clock: new ManualClock(), sliceMs: 5 };
        const saved = await openSnapshot(source(), Buffer.from(snapshotKey, 'hex'), release, pace);
        assert.equal(saved.state.version, savedVersion);
        assert.equal(saved.description.clusterName, 'golden');
        assert.deepEqual(saved.members.map(({ nodeId }) => nodeId).sort(), savedMembers);
        const { cluster, node, revision, task } = objects;
        assert.partialDeepStrictEqual(objectsOf(saved.state), { cluster, node, revision, task });
        assert.partialDeepStrictEqual(plain([...saved.state.all('service')]), [
          { spec: { name: 'web', labels: { count: '96' } } },
        ]);
      });
    });
  }
});
