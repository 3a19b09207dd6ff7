/**
 * Goal: events that come quickly share one flush, none waits longer than it may, and a log that fails is left alone. Method:
 * a log that answers when it is told to, and a clock that moves when it is told to.
 */
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ManualClock } from '#common/clock.ts';
import type { AuditEntry } from '#manager/audit/audit-entry.ts';
import { EntryQueue } from '#manager/audit/entry-queue.ts';

const entries = (...numbers: readonly number[]): readonly AuditEntry[] =>
  numbers.map((timeMs) => ({ kind: 'begin', timeMs, cluster: 'c1', message: '' }));

describe('entry queue', () => {
  let clock: ManualClock;
  let queue: EntryQueue;
  /** What the log got, and has not answered for. */
  let asked: { readonly times: readonly number[]; readonly answer: (error?: Error) => void }[];
  let written: number;
  let failed: number;

  beforeEach(() => {
    clock = new ManualClock();
    asked = [];
    written = 0;
    failed = 0;
    queue = new EntryQueue({
      log: {
        append: (given) =>
          new Promise((resolve, reject) => {
            const answer = (error?: Error): void => (error === undefined ? resolve() : reject(error));
            asked.push({ times: given.map((entry) => (entry.kind === 'event' ? 0 : entry.timeMs)), answer });
          }),
      },
      clock,
      config: { waiting: 4, gatherMs: 250 },
      onWritten: () => written++,
      onFailed: () => failed++,
    });
  });

  const times = () => asked.map((one) => one.times);

  it('writes together what comes within the time, and nothing later than that', async () => {
    queue.add(entries(1));
    clock.advance(100);
    queue.add(entries(2));
    clock.advance(149);
    assert.deepEqual(times(), []);
    clock.advance(1);
    assert.deepEqual(times(), [[1, 2]]);
    queue.add(entries(3));
    clock.advance(1000);
    assert.deepEqual(times(), [[1, 2]], 'one write at a time');
    asked[0]?.answer();
    await nextTurn();
    assert.equal(written, 1);
    clock.advance(249);
    assert.equal(asked.length, 1, 'and a rest after it');
    clock.advance(1);
    assert.deepEqual(times(), [[1, 2], [3]]);
    asked[1]?.answer();
    await nextTurn();
    assert.equal(clock.nextDue(), undefined, 'nothing to do, no timer');
  });

  it('writes at once when too much waits, and lets whoever adds wait for it', async () => {
    queue.add(entries(1, 2, 3));
    await queue.room();
    queue.add(entries(4, 5));
    let isThereRoom = false;
    const room = queue.room().then(() => {
      isThereRoom = true;
    });
    await nextTurn();
    assert.deepEqual(times(), [[1, 2, 3, 4]], 'no more than that in one write');
    assert.equal(isThereRoom, false);
    asked[0]?.answer();
    await room;
    clock.advance(250);
    assert.deepEqual(times(), [[1, 2, 3, 4], [5]]);
  });

  it('writes what waits when it is asked to, after what is under way', async () => {
    await queue.flush();
    queue.add(entries(1));
    clock.advance(250);
    queue.add(entries(2, 3));
    const flushed = queue.flush();
    asked[0]?.answer();
    await nextTurn();
    queue.add(entries(4));
    asked[1]?.answer();
    await flushed;
    assert.deepEqual(times(), [[1], [2, 3]]);
  });

  it('writes everything at the end', async () => {
    queue.add(entries(1));
    const finished = queue.finish();
    queue.add(entries(2));
    asked[0]?.answer();
    await nextTurn();
    asked[1]?.answer();
    await finished;
    assert.deepEqual(times(), [[1], [2]]);
  });

  it('drops what the log has not got, and waits for what it has', async () => {
    queue.add(entries(1));
    clock.advance(250);
    queue.add(entries(2));
    let isDropped = false;
    const dropped = queue.drop().then(() => {
      isDropped = true;
    });
    await nextTurn();
    assert.ok(!isDropped);
    asked[0]?.answer();
    await dropped;
    clock.advance(1000);
    assert.deepEqual(times(), [[1]]);
  });

  it('asks a log no more that has failed, and says why', async () => {
    queue.add(entries(1));
    clock.advance(250);
    queue.add(entries(2, 3, 4, 5));
    asked[0]?.answer(new Error('no disk'));
    await queue.room();
    assert.equal(failed, 1);
    await assert.rejects(queue.finish(), /no disk/);
    clock.advance(1000);
    assert.deepEqual(times(), [[1]]);
  });
});
