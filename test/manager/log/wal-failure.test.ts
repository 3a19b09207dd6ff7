/**
 * Goal: an operation that fails stops the log for good, tells everyone who waits, and damages nothing: after a restart
 * everything that was acknowledged is there. Method: let each operation of a history fail in turn.
 */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { SeededRandom } from '#common/random.ts';
import { type Leadership, MemoryDisk } from '#manager/log/index.ts';
import { bytes, memoryDisk, openLog, reopened, until, WAIT } from './support.ts';

const CONFIG = { segmentBytes: 20 * 1024, snapshotEntries: 6 };

interface FailedRun {
  readonly disk: MemoryDisk;
  readonly proposed: string[];
  acknowledged: number;
  errors: SwarmError[];
}

async function runWithFailure(operation: number, code: string): Promise<FailedRun> {
  const disk = new MemoryDisk({ random: new SeededRandom(operation), failAt: { operation, code } });
  const result: FailedRun = { disk, proposed: [], acknowledged: 0, errors: [] };
  const refused = (thrown: unknown) => {
    assert.ok(thrown instanceof SwarmError);
    result.errors.push(thrown);
  };
  const opened = await openLog(disk, CONFIG).catch(refused);
  if (opened === undefined) return result;
  for (let round = 0; round < 6; round++) {
    const waiting = [0, 1, 2].map((part) => {
      const text = `${round}-${part}`.padEnd(2000);
      result.proposed.push(text);
      return opened.log.propose(bytes(text), WAIT).then(() => {
        result.acknowledged++;
      }, refused);
    });
    await Promise.all(waiting);
  }
  await opened.log.close();
  return result;
}

describe('manager/log: failing disks', () => {
  for (const code of ['EIO', 'ENOSPC'])
    it(`survives ${code} at any operation without losing what it acknowledged`, async () => {
      const { disk } = await runWithFailure(0, code);
      let stopped = 0;
      for (let operation = 1; operation <= disk.operations; operation++) {
        const failed = await runWithFailure(operation, code);
        for (const { reason } of failed.errors)
          assert.ok(reason === (code === 'EIO' ? 'log-failed' : 'disk-full'), `operation ${operation}: ${reason}`);
        if (failed.errors.length > 0) stopped++;
        const { log, machine } = await openLog(reopened(failed.disk, operation), CONFIG);
        assert.deepEqual(machine.applied, failed.proposed.slice(0, machine.applied.length), `operation ${operation}`);
        assert.ok(machine.applied.length >= failed.acknowledged, `operation ${operation} lost an acknowledged entry`);
        await log.propose(bytes('afterwards'), WAIT);
        await log.close();
      }
      assert.ok(stopped > disk.operations / 4, `only ${stopped} of ${disk.operations} failures were noticed`);
    });

  it('rejects everyone who waits with one error, and every later proposal', async () => {
    const probe = memoryDisk();
    const first = await openLog(probe);
    await first.log.propose(bytes('first'), WAIT);
    const disk = memoryDisk({ failAt: { operation: probe.operations + 1, code: 'EIO' } });
    const { log } = await openLog(disk);
    const seen: Leadership[] = [];
    log.onLeadership((leadership) => seen.push(leadership));
    await log.propose(bytes('first'), WAIT);
    const waiting = await Promise.allSettled([1, 2, 3].map((index) => log.propose(bytes(`entry ${index}`), WAIT)));
    const errors = new Set(waiting.map((result) => (result.status === 'rejected' ? result.reason : undefined)));
    assert.equal(errors.size, 1);
    const [error] = errors;
    assert.equal(error.reason, 'log-failed');
    assert.deepEqual(seen, [{ state: 'stopped', error }]);
    await assert.rejects(log.propose(bytes('later'), WAIT), error);
    await assert.rejects(log.readBarrier(WAIT), error);
    const operations = disk.operations;
    await log.close();
    assert.ok(disk.operations <= operations + 1, 'after the failure nothing but closing the file was done');
    await first.log.close();
  });

  it('goes on without snapshots while the disk has no room for them, and says so', async () => {
    // Room for the log but not for a snapshot beside it: entries of 6 kB that a snapshot holds again.
    const disk = memoryDisk({ capacityBytes: 150_000 });
    const { log } = await openLog(disk, { snapshotEntries: 10, segmentBytes: 100_000, snapshotRetryMs: 60_000 });
    for (let index = 0; index < 12; index++) await log.propose(bytes('x'.repeat(6000)), WAIT);
    await until(() => log.status().snapshotError !== undefined, 'the snapshot has failed');
    assert.equal(log.status().snapshotError?.reason, 'disk-full');
    assert.equal(log.leadership().state, 'leader');
    const snapshots = [...disk.files().keys()].filter((name) => name.includes('.snapshot'));
    assert.equal(snapshots.length, 1, 'nothing is left of the attempt');
    await log.propose(bytes('still here'), WAIT);
    await log.close();
  });

  it('stops when the disk is full, and starts again when there is room', async () => {
    const disk = memoryDisk({ capacityBytes: 60_000 });
    const { log } = await openLog(disk);
    let acknowledged = 0;
    await assert.rejects(
      async () => {
        for (;;) {
          await log.propose(new Uint8Array(5000), WAIT);
          acknowledged++;
        }
      },
      { code: 'exhausted', reason: 'disk-full' },
    );
    await log.close();
    const again = await openLog(reopened(disk));
    // The last one may be there in all but its padding.
    const { length } = again.machine.applied;
    assert.ok(length === acknowledged || length === acknowledged + 1, `${length} of ${acknowledged}`);
    await again.log.propose(new Uint8Array(5000), WAIT);
    await again.log.close();
  });
});
