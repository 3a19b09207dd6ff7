/**
 * The log of one member as its user sees it: what was acknowledged comes back, in order, with and without snapshots;
 * every way of being refused.
 */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import type { Leadership, LogObserver } from '#manager/log/index.ts';
import {
  bytes,
  DIRECTORY,
  memoryDisk,
  oneMemberLog,
  openLog,
  RecordingMachine,
  reopened,
  SMALL,
  until,
  WAIT,
} from '../log/support.ts';

describe('manager/raft: a log of one member', () => {
  it('applies proposals in the order of the calls, each with its ticket, before they resolve', async () => {
    const { log, machine } = await openLog(memoryDisk());
    const tickets = ['a', 'b', 'c'].map((name) => ({ name }));
    const positions = await Promise.all(tickets.map((ticket) => log.propose(bytes(ticket.name), { ...WAIT, ticket })));
    assert.deepEqual(
      positions,
      // Before them: the first snapshot, and the leader's own entry.
      [3, 4, 5].map((index) => ({ index, term: 2 })),
    );
    assert.deepEqual(machine.applied, ['a', 'b', 'c']);
    assert.deepEqual(machine.tickets, tickets);
    await log.close();
  });

  it('comes back with everything after an orderly end and after a crash', async () => {
    let disk = memoryDisk();
    const expected: string[] = [];
    for (let run = 0; run < 4; run++) {
      const { log, machine } = await openLog(disk);
      assert.deepEqual(machine.applied, expected);
      for (let count = 0; count < 5; count++) {
        expected.push(`${run}-${count}`);
        await log.propose(bytes(`${run}-${count}`), WAIT);
      }
      if (run % 2 === 0) await log.close();
      disk = reopened(disk, run);
    }
    const { machine } = await openLog(disk);
    assert.deepEqual(machine.applied, expected);
    assert.deepEqual(
      machine.tickets,
      expected.map(() => undefined),
    );
  });

  it('puts proposals that wait for a flush into the next one', async () => {
    const flushes: number[] = [];
    const observer: LogObserver = {
      flushed: (_durationMs, records) => flushes.push(records),
      snapshotWritten() {},
      recovered() {},
    };
    const log = oneMemberLog('found', {
      disk: memoryDisk(),
      config: { ...SMALL, frameBytes: 64 * 1024 },
      observer,
    });
    await log.start(new RecordingMachine());
    flushes.length = 0;
    await Promise.all(Array.from({ length: 100 }, (_, index) => log.propose(bytes(`entry ${index}`), WAIT)));
    // And what is known to be committed, which never has a flush of its own.
    assert.deepEqual(flushes, [101]);
    await log.close();
  });

  it('splits a flush at the frame size and takes a record that is larger alone', async () => {
    const disk = memoryDisk();
    const { log, machine } = await openLog(disk, { frameBytes: 1000 });
    const sizes = [400, 400, 400, 5000, 10, 70_000, 10];
    await Promise.all(sizes.map((size, index) => log.propose(bytes(String(index).repeat(size)), WAIT)));
    await log.close();
    const again = await openLog(reopened(disk));
    assert.deepEqual(again.machine.applied, machine.applied);
    assert.deepEqual(
      again.machine.applied.map((text) => text.length),
      sizes,
    );
  });

  it('takes snapshots, forgets what they replace, and recovers from them', async () => {
    const disk = memoryDisk();
    const { log, machine } = await openLog(disk, { snapshotEntries: 10 });
    for (let index = 1; index <= 45; index++) await log.propose(bytes(`entry ${index}`.padEnd(3000)), WAIT);
    await until(() => log.status().snapshotIndex >= 40, 'the snapshot of entry 40 is taken');
    await log.close();
    const names = [...disk.files().keys()];
    assert.equal(names.filter((name) => name.endsWith('.snapshot')).length, 1);
    assert.ok(!names.includes(`${DIRECTORY}/${'1'.padStart(16, '0')}.wal`), 'the first segment is gone');
    const again = await openLog(reopened(disk));
    assert.equal(again.machine.restoredAt?.index, log.status().snapshotIndex);
    assert.deepEqual(again.machine.applied, machine.applied);
    await again.log.propose(bytes('more'), WAIT);
    assert.equal(again.machine.applied.length, 46);
  });

  it('takes a snapshot after so many bytes', async () => {
    const { log } = await openLog(memoryDisk(), { snapshotBytes: 20_000 });
    for (let index = 0; index < 5; index++) await log.propose(new Uint8Array(5000), WAIT);
    await until(() => log.status().snapshotIndex > 1, 'a snapshot is taken');
    await log.close();
  });

  it('takes snapshots as often as it was told last', async () => {
    const { log } = await openLog(memoryDisk());
    for (let index = 0; index < 5; index++) await log.propose(bytes('x'), WAIT);
    assert.equal(log.status().snapshotIndex, 1, 'the one that every log begins with');
    log.tuneSnapshots({ snapshotEntries: 4 });
    await until(() => log.status().snapshotIndex === 7, 'the overdue snapshot is taken');
    await log.close();
  });

  it('keeps as many older snapshots as it is told', async () => {
    const disk = memoryDisk();
    const { log } = await openLog(disk, { snapshotEntries: 5, snapshotsKept: 2 });
    for (let round = 1; round <= 6; round++) {
      const before = log.status().snapshotIndex;
      for (let index = 0; index < 6; index++) await log.propose(bytes('x'), WAIT);
      await until(() => log.status().snapshotIndex > before, `snapshot ${round} is taken`);
    }
    await log.close();
    assert.equal([...disk.files().keys()].filter((name) => name.endsWith('.snapshot')).length, 3);
  });

  it('leads from the end of its start until it is closed, and says so', async () => {
    const seen: Leadership[] = [];
    const log = oneMemberLog('found', { disk: memoryDisk() });
    log.onLeadership((leadership) => seen.push(leadership));
    await assert.rejects(log.propose(bytes('early'), WAIT), { reason: 'not-leader' });
    await log.start(new RecordingMachine());
    assert.equal(await log.readBarrier(WAIT), 2);
    await log.close();
    await log.close();
    assert.deepEqual(seen, [
      { state: 'leader', term: 2 },
      { state: 'stopped', error: undefined },
    ]);
    await assert.rejects(log.propose(bytes('late'), WAIT), { reason: 'shutting-down' });
    await assert.rejects(log.readBarrier(WAIT), { reason: 'shutting-down' });
  });

  it('finishes waiting proposals when it is closed', async () => {
    const disk = memoryDisk();
    const { log } = await openLog(disk);
    const waiting = Array.from({ length: 20 }, (_, index) => log.propose(bytes(`entry ${index}`), WAIT));
    await log.close();
    assert.equal((await Promise.all(waiting)).length, 20);
    assert.equal((await openLog(reopened(disk))).machine.applied.length, 20);
  });

  it('closes in the end though the disk hangs, telling those who wait that it does not know', async () => {
    const disk = memoryDisk();
    const log = oneMemberLog('found', { disk, clock: systemClock, config: { ...SMALL, closeTimeoutMs: 50 } });
    await log.start(new RecordingMachine());
    await log.propose(bytes('first'), WAIT);
    const waiting = log.propose(bytes('second'), WAIT);
    disk.afterCrash({ random: new SeededRandom(1) }); // this one answers no more
    await Promise.all([log.close(), assert.rejects(waiting, { reason: 'timeout' })]);
  });

  it('can be closed while it recovers', async () => {
    const disk = memoryDisk();
    const first = await openLog(disk);
    for (let index = 0; index < 5; index++) await first.log.propose(bytes('x'), WAIT);
    await first.log.close();
    const log = oneMemberLog('resume', { disk, config: SMALL });
    const starting = log.start(new RecordingMachine());
    await Promise.all([log.close(), assert.rejects(starting, { reason: 'shutting-down' })]);
    await (await openLog(disk)).log.close();
  });

  it('refuses what is too large, and more than may wait', async () => {
    const { log } = await openLog(memoryDisk(), { proposalBytes: 1000, waitingProposals: 3, waitingBytes: 2500 });
    await assert.rejects(log.propose(new Uint8Array(1001), WAIT), { reason: 'too-large', limit: 'TRANSACTION_BYTES' });
    const first = [log.propose(new Uint8Array(1000), WAIT), log.propose(new Uint8Array(1000), WAIT)];
    await assert.rejects(log.propose(new Uint8Array(1000), WAIT), { reason: 'too-many' });
    first.push(log.propose(new Uint8Array(1), WAIT));
    await assert.rejects(log.propose(new Uint8Array(1), WAIT), { reason: 'too-many' });
    await Promise.all(first);
    await log.propose(new Uint8Array(1000), WAIT);
    await log.close();
  });

  it('rejects a proposal at its deadline and applies it all the same', async () => {
    const clock = new ManualClock();
    const machine = new RecordingMachine();
    const log = oneMemberLog('found', { disk: memoryDisk(), clock });
    await log.start(machine);
    const late = log.propose(bytes('late'), { timeoutMs: 100 });
    clock.advance(100);
    await assert.rejects(late, { code: 'deadline', reason: 'timeout' });
    await until(() => machine.applied.length === 1, 'the entry is applied');
    await log.close();
  });

  it('stops for good when the state machine throws', async () => {
    const { log, machine } = await openLog(memoryDisk());
    machine.apply = () => {
      throw new Error('boom');
    };
    await assert.rejects(log.propose(bytes('x'), WAIT), { reason: 'internal', message: 'boom' });
    assert.equal(log.leadership().state, 'stopped');
    await assert.rejects(log.propose(bytes('y'), WAIT), { reason: 'internal' });
    await log.close();
  });

  it('stops for good when the state machine cannot make a snapshot', async () => {
    const { log, machine } = await openLog(memoryDisk(), { snapshotEntries: 1 });
    machine.snapshot = () => {
      throw new Error('boom');
    };
    await log.propose(bytes('x'), WAIT).catch(() => {});
    await until(() => log.leadership().state === 'stopped', 'the log has stopped');
    await log.close();
  });

  it('lets only one log use a directory', async () => {
    const disk = memoryDisk();
    const { log } = await openLog(disk);
    await assert.rejects(openLog(disk), { reason: 'in-use' });
    await log.close();
    await (await openLog(disk)).log.close();
  });
});
