/**
 * Goal: force-new-cluster can be repeated after a loss of power at any moment of it. Method: on a disk in memory that
 * crashes at one operation after the other, or at some of them.
 */
import assert from 'node:assert/strict';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { MemoryDisk } from '#manager/log/index.ts';
import { forceNewCluster } from '#manager/raft/index.ts';
import { bytes, DIRECTORY, KEYS, Members, WAIT } from './members.ts';

export function force(
  disk: MemoryDisk,
  nodeId = 'b',
  address = nodeId,
  committing = (): Promise<void> => Promise.resolve(),
): Promise<void> {
  return forceNewCluster({
    directory: DIRECTORY,
    keys: KEYS,
    logger: silentLogger,
    disk,
    nodeId,
    address,
    featureLevel: 1,
    committing,
  });
}

/** With a crash at every operation when `stride` is 1, else at one of so many. */
export function describeForcedAfterCrash(stride: number): void {
  describe('manager/raft: force-new-cluster after a crash', () => {
    const members = new Members();
    after(() => members.close());

    it('works at any operation, on a learner, with another address', async () => {
      const a = await members.found('a');
      await a.log.propose(bytes('x'), WAIT);
      members.network.passes = (_from, _to, message) => message.type !== 'MsgTimeoutNow';
      const b = await members.start('b', { origin: { kind: 'join', join: () => members.add('b') } });
      assert.equal(b.machine.applied.length, 1);
      await members.crash(a);
      await b.log.close();
      members.forget(b);
      const files = b.disk.files();
      const counting = new MemoryDisk({ random: new SeededRandom(1) }, files);
      await force(counting, 'b', 'moved');
      for (let crashAt = 1; crashAt <= counting.operations; crashAt += stride) {
        const random = new SeededRandom(crashAt);
        const disk = new MemoryDisk({ random, crashAt }, files);
        await Promise.race([force(disk, 'b', 'moved'), disk.crashed]);
        const after = disk.afterCrash({ random });
        await force(after, 'b', 'moved');
        const alone = await members.start('b', { disk: after, address: 'moved' });
        assert.deepEqual(alone.machine.applied, ['x']);
        assert.deepEqual(
          alone.log.members().map(({ address }) => address),
          ['moved'],
        );
        await alone.log.close();
        members.forget(alone);
      }
    }).timeout(120_000);
  });
}
