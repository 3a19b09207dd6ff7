/** What is held for members that a snapshot is sent to, and for how long; in virtual time. */
import assert from 'node:assert/strict';
import { type Message, message, NO_DATA } from 'raft-ts';
import { ManualClock } from '#common/clock.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { RaftStorage } from '#manager/raft/raft-storage.ts';
import { SnapshotSends } from '#manager/raft/snapshot-sends.ts';

const CONF_STATE = { voters: [1], learners: [2], votersOutgoing: [], learnersNext: [], autoLeave: false };
const KEPT = { entriesKept: 5, entriesKeptBytes: 1e6, entriesHeldBytes: 1e6 };

function snapshotTo(to: number, index: number): Message {
  return message({ type: 'MsgSnap', from: 1, to, snapshot: { index, term: 1, confState: CONF_STATE, data: NO_DATA } });
}

describe('manager/raft: snapshots that are sent', () => {
  const clock = new ManualClock();
  let progress = new Map<number, { match: number }>();
  let transfers: PromiseWithResolvers<void>[] = [];
  let reported: string[] = [];
  let released = 0;
  let sends: SnapshotSends;
  const node = { status: () => ({ progress }) };

  beforeEach(() => {
    progress = new Map([
      [2, { match: 0 }],
      [3, { match: 0 }],
    ]);
    transfers = [];
    reported = [];
    released = 0;
    sends = new SnapshotSends({
      clock,
      random: new SeededRandom(1),
      logger: silentLogger,
      transport: {
        sendSnapshot: () => {
          const transfer = Promise.withResolvers<void>();
          transfers.push(transfer);
          return transfer.promise;
        },
      },
      resend: { baseMs: 1000, maxMs: 10_000, factor: 2, jitter: 0 },
      catchUpHoldMs: 60_000,
      read: async function* () {},
      report: (to, outcome) => reported.push(`${to} ${outcome}`),
      released: () => released++,
    });
  });

  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('what comes after them is needed until the member has it', async () => {
    sends.send(snapshotTo(2, 100));
    sends.send(snapshotTo(3, 80));
    sends.tick(node, 500);
    assert.deepEqual(sends.neededFrom(node), [81, 101]);
    for (const transfer of transfers) transfer.resolve();
    await settled();
    assert.deepEqual(reported, ['2 finished', '3 finished']);
    progress.set(2, { match: 300 });
    progress.set(3, { match: 500 });
    sends.tick(node, 500);
    assert.deepEqual(sends.neededFrom(node), [301]);
    assert.equal(released, 1);
    progress.set(2, { match: 501 });
    sends.tick(node, 501);
    assert.deepEqual(sends.neededFrom(node), []);
  });

  it('however long the transfer takes, but not for long after it', async () => {
    sends.send(snapshotTo(2, 100));
    clock.advance(3_600_000);
    sends.tick(node, 500);
    assert.deepEqual(sends.neededFrom(node), [101]);
    transfers[0]?.resolve();
    await settled();
    clock.advance(60_000);
    sends.tick(node, 500);
    assert.deepEqual(sends.neededFrom(node), []);
  });

  it('nothing is needed for a member that was removed, nor once another leads', () => {
    sends.send(snapshotTo(2, 100));
    sends.send(snapshotTo(3, 100));
    progress.delete(2);
    sends.tick(node, 500);
    assert.deepEqual(sends.neededFrom(node), [101]);
    sends.stop();
    assert.deepEqual(sends.neededFrom(node), []);
    assert.equal(released, 2);
  });

  it('a failure is told after a while that grows, and not at all once it does not matter', async () => {
    for (const delayMs of [1000, 2000, 4000]) {
      sends.send(snapshotTo(2, 100));
      transfers.at(-1)?.reject(new Error('the line is broken'));
      await settled();
      assert.deepEqual(sends.neededFrom(node), []);
      clock.advance(delayMs - 1);
      assert.deepEqual(reported, []);
      clock.advance(1);
      assert.deepEqual(reported.splice(0), ['2 failed']);
    }
    sends.send(snapshotTo(2, 100));
    transfers.at(-1)?.reject(new Error('the line is broken'));
    await settled();
    sends.stop();
    clock.advance(100_000);
    assert.deepEqual(reported, []);
  });

  describe('entries in memory', () => {
    let storage: RaftStorage;
    beforeEach(() => {
      storage = new RaftStorage(
        () => CONF_STATE,
        () => {},
      );
      const entries = Array.from({ length: 100 }, (_, at) => ({
        type: 'EntryNormal' as const,
        index: at + 1,
        term: 1,
        data: new Uint8Array(36),
      }));
      storage.append(entries);
    });

    it('are kept from the first that is needed on', () => {
      storage.forget(60, KEPT, [31, 50]);
      assert.equal(storage.firstIndex(), 31);
      storage.forget(80, KEPT, [31, 50]);
      assert.equal(storage.firstIndex(), 31);
      storage.forget(80, KEPT, []);
      assert.equal(storage.firstIndex(), 76);
      storage.forget(90, KEPT, [90]);
      assert.equal(storage.firstIndex(), 86);
    });

    it('are not kept beyond the bytes that may be held, nor in part', () => {
      storage.forget(60, { ...KEPT, entriesHeldBytes: 1000 }, [31, 50]);
      assert.equal(storage.firstIndex(), 50);
      storage.forget(80, { ...KEPT, entriesHeldBytes: 1000 }, [50]);
      assert.equal(storage.firstIndex(), 76);
    });
  });
});
