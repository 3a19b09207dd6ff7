/**
 * Goal: a restored state is the first thing in a new log, whole, or the attempt fails in words. Method: the real log on a
 * disk in memory; its next start as a store; a disk without room.
 */
import assert from 'node:assert/strict';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { foundLog } from '#manager/backup/index.ts';
import { MemoryDisk } from '#manager/log/index.ts';
import { RaftLog, type RaftLogOptions } from '#manager/raft/index.ts';
import { ReplicatedStore } from '#manager/replicated-store/index.ts';
import { FAST } from '#test/manager/raft/support/members.ts';
import { MemoryNetwork } from '#test/manager/raft/support/memory-network.ts';
import { service } from '#test/manager/store/support.ts';
import { contentOf, KEY, sampleState, stateOf } from './support.ts';

function logOn(disk: MemoryDisk, origin: RaftLogOptions['origin']): RaftLog {
  return new RaftLog({
    directory: '/raft',
    keys: { current: KEY },
    logger: silentLogger,
    random: new SeededRandom(3),
    disk,
    config: FAST ?? {},
    transport: new MemoryNetwork().transport('a'),
    nodeId: 'a',
    address: () => 'a:2377',
    featureLevel: 2,
    origin,
    onRemoved: () => {},
  });
}

function diskWith(capacityBytes = 64 * 1024 * 1024): MemoryDisk {
  return new MemoryDisk({ random: new SeededRandom(1), capacityBytes });
}

describe('manager/backup: a new log with a state', () => {
  it('is opened as the state, by its only member, who writes on', async () => {
    const state = sampleState(3000);
    const disk = diskWith();
    await foundLog(logOn(disk, { kind: 'found' }), state, systemClock);
    const log = logOn(disk, { kind: 'resume' });
    const store = new ReplicatedStore({ log, logger: silentLogger, random: new SeededRandom(4) });
    await store.start();
    assert.deepEqual(contentOf(stateOf(store)), contentOf(state));
    assert.deepEqual(
      log.members().map(({ nodeId, address, voter }) => [nodeId, address, voter]),
      [['a', 'a:2377', true]],
    );
    await store.commit([{ kind: 'create', table: 'service', object: service('s2') }]);
    assert.equal(store.view().version, state.version + 1);
    await store.close();
  });

  it('survives a loss of power at any moment after it was told to be done', async () => {
    const state = sampleState(100);
    const disk = diskWith();
    await foundLog(logOn(disk, { kind: 'found' }), state, systemClock);
    for (let seed = 1; seed <= 10; seed++) {
      const after = disk.afterCrash({ random: new SeededRandom(seed) });
      const store = new ReplicatedStore({ log: logOn(after, { kind: 'resume' }), logger: silentLogger });
      await store.start();
      assert.deepEqual(contentOf(stateOf(store)), contentOf(state));
      await store.close();
    }
  });

  it('is refused where there is no room', async () => {
    await assert.rejects(
      foundLog(logOn(diskWith(100 * 1024), { kind: 'found' }), sampleState(3000), systemClock),
      /no space left|disk/,
    );
  });
});
