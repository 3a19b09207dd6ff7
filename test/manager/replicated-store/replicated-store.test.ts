/** The store over the real log of one member: reading, writing, watching, restarting, and every way of being refused. */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { silentLogger } from '#common/log.ts';
import { type Disk, type LogConfig, MemoryDisk } from '#manager/log/index.ts';
import type { RaftLog } from '#manager/raft/index.ts';
import { ReplicatedStore, type ReplicatedStoreOptions, type StoreConfig } from '#manager/replicated-store/index.ts';
import type { ChangeGroup, CommitEvents } from '#manager/store/index.ts';
import { DIRECTORY, memoryDisk, oneMemberLog, reopened, SMALL, until } from '#test/manager/log/support.ts';
import { create, remove, service, task, update } from '#test/manager/store/support.ts';

interface Opened {
  readonly store: ReplicatedStore;
  readonly log: RaftLog;
}

async function open(
  disk: Disk,
  { log: logConfig = {}, store: storeConfig = {}, ...others }: Setup = {},
): Promise<Opened> {
  const kind = (await disk.list(DIRECTORY)).some((name) => name.endsWith('.wal')) ? 'resume' : 'found';
  const log = oneMemberLog(kind, {
    disk,
    config: { ...SMALL, frameBytes: 256 * 1024, segmentBytes: 1024 * 1024, ...logConfig },
  });
  const store = new ReplicatedStore({ log, logger: silentLogger, config: storeConfig, ...others });
  await store.start();
  return { store, log };
}

interface Setup extends Partial<Omit<ReplicatedStoreOptions, 'log' | 'config'>> {
  readonly log?: Partial<LogConfig>;
  readonly store?: Partial<StoreConfig>;
}

function increment(store: ReplicatedStore): Promise<number> {
  return store.update((transaction) => {
    const counter = transaction.view.get('task', 'counter');
    const next = (counter?.slot ?? 0) + 1;
    if (counter === undefined) transaction.create('task', task('counter', { slot: next }));
    else transaction.update('task', { ...counter, slot: next });
    return next;
  });
}

describe('manager/replicated-store: writing', () => {
  it('has a change in the view, with version, times and author, when it resolves', async () => {
    const clock = new ManualClock(5000);
    const { store } = await open(memoryDisk(), { clock });
    await store.commit([create('task', task('t1'))], { author: 'alice' });
    assert.deepEqual(store.view().get('task', 't1'), task('t1', { version: 1, createdAtMs: 5000, updatedAtMs: 5000 }));
    clock.advance(10);
    const read = store.view().get('task', 't1');
    assert.ok(read !== undefined);
    await store.commit([update('task', { ...read, nodeId: 'n1' })]);
    assert.deepEqual(
      store.view().get('task', 't1'),
      task('t1', { version: 2, createdAtMs: 5000, updatedAtMs: 5010, nodeId: 'n1' }),
    );
    assert.equal(store.status().version, 2);
    await store.commit([]);
    assert.equal(store.status().version, 2);
    await store.close();
  });

  it('finds conflicts with changes that are still on their way', async () => {
    const { store } = await open(memoryDisk());
    await store.commit([create('task', task('t1'))]);
    const read = store.view().get('task', 't1');
    assert.ok(read !== undefined);
    const outcomes = await Promise.allSettled([
      store.commit([update('task', { ...read, nodeId: 'n1' })]),
      store.commit([update('task', { ...read, nodeId: 'n2' })]),
      store.commit([create('service', service('s1', 'web'))]),
      store.commit([create('service', service('s2', 'web'))]),
    ]);
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.status === 'fulfilled' ? 'made' : outcome.reason.reason)),
      ['made', 'out-of-sequence', 'made', 'duplicate-name'],
    );
    assert.equal(store.view().get('task', 't1')?.nodeId, 'n1');
    await store.close();
  });

  it('tells of a conflict once the view shows it, so that reading again and retrying succeeds', async () => {
    const { store } = await open(memoryDisk());
    await store.commit([create('task', task('t1'))]);
    const bump = async (attempts: number): Promise<number> => {
      const read = store.view().get('task', 't1');
      assert.ok(read !== undefined);
      try {
        await store.commit([update('task', { ...read, slot: read.slot + 1 })]);
        return attempts;
      } catch (thrown) {
        assert.equal(SwarmError.from(thrown).reason, 'out-of-sequence');
        return bump(attempts + 1);
      }
    };
    const attempts = await Promise.all(Array.from({ length: 5 }, () => bump(1)));
    assert.equal(store.view().get('task', 't1')?.slot, task('t1').slot + 5);
    assert.ok(Math.max(...attempts) <= 5, attempts.join());
    await store.close();
  });

  it('decides on what is still on its way', async () => {
    const { store } = await open(memoryDisk());
    const add = (id: string): Promise<void> =>
      store.decide((view) => (view.count('task') < 2 ? [create('task', task(id))] : []));
    await Promise.all(['t1', 't2', 't3'].map(add));
    assert.deepEqual([...store.view().all('task')].map(({ id }) => id).toSorted(), ['t1', 't2']);
    await store.close();
  });

  it('loses no update of many at once, and lets them share flushes', async () => {
    const disk = memoryDisk();
    const { store } = await open(disk);
    const before = disk.operations;
    const results = await Promise.all(Array.from({ length: 200 }, () => increment(store)));
    assert.deepEqual(
      results,
      Array.from({ length: 200 }, (_, index) => index + 1),
    );
    assert.equal(store.view().get('task', 'counter')?.slot, 200);
    assert.ok(disk.operations - before < 40, `${disk.operations - before} disk operations`);
    await store.close();
  });

  it('reads its own writes in a transaction and commits each object once', async () => {
    const { store } = await open(memoryDisk());
    await store.commit([create('task', task('t1')), create('task', task('t2')), create('task', task('t3'))]);
    const found = await store.update((transaction) => {
      const read = transaction.view.get('task', 't1');
      assert.ok(read !== undefined);
      const before = transaction.view;
      transaction.update('task', { ...read, nodeId: 'n1' });
      transaction.update('task', { ...read, nodeId: 'n2' });
      transaction.create('task', task('t4', { nodeId: 'n2' }));
      transaction.update('task', task('t4', { nodeId: 'n2', slot: 7 }));
      transaction.create('task', task('t5', { nodeId: 'n2' }));
      transaction.remove('task', 't5');
      transaction.remove('task', 't2', 1);
      assert.equal(before.get('task', 't2')?.id, 't2', 'a view does not change');
      return [...transaction.view.tasksOfNode('n2')].map(({ id }) => id);
    });
    assert.deepEqual(found, ['t1', 't4']);
    const view = store.view();
    assert.deepEqual([view.version, view.get('task', 't1')?.nodeId, view.get('task', 't4')?.slot], [2, 'n2', 7]);
    assert.deepEqual(
      [...view.all('task')].map(({ id }) => id),
      ['t1', 't3', 't4'],
    );
    await store.close();
  });

  it('writes nothing when the callback throws or breaks a rule', async () => {
    const { store } = await open(memoryDisk());
    await store.commit([create('task', task('t1')), create('service', service('s1', 'web'))]);
    const attempts: [string, Parameters<typeof store.update>[0]][] = [
      [
        'internal',
        () => {
          throw new SwarmError({ code: 'internal', reason: 'internal', message: 'boom' });
        },
      ],
      ['unknown-object', (transaction) => transaction.update('task', task('t9'))],
      ['unknown-object', (transaction) => transaction.remove('task', 't9')],
      ['out-of-sequence', (transaction) => transaction.update('task', task('t1', { version: 9 }))],
      ['out-of-sequence', (transaction) => transaction.remove('task', 't1', 9)],
      ['duplicate-name', (transaction) => transaction.create('task', task('t1'))],
      ['duplicate-name', (transaction) => transaction.create('service', service('s2', 'web'))],
      ['bad-field', (transaction) => transaction.create('task', task('../t'))],
    ];
    for (const [reason, attempt] of attempts) await assert.rejects(store.update(attempt), { reason });
    assert.equal(store.view().version, 1);
    await store.close();
  });

  it('answers a transaction that only reads once what it has read is durable', async () => {
    const { store } = await open(memoryDisk());
    const order: string[] = [];
    const writing = store.commit([create('task', task('t1'))]).then(() => order.push('written'));
    const reading = store
      .update((transaction) => transaction.view.count('task'))
      .then((count) => order.push(`read ${count}`));
    await Promise.all([writing, reading]);
    assert.deepEqual(order, ['written', 'read 1']);
    await store.close();
  });

  it('commits a batch in as few transactions as the limits allow, refusing single groups', async () => {
    const { store } = await open(memoryDisk());
    const groups: ChangeGroup[] = Array.from({ length: 1000 }, (_, index) => [
      create('task', task(`a${index}`)),
      create('task', task(`b${index}`)),
    ]);
    groups[500] = [create('task', task('x')), update('task', task('nowhere', { version: 1 }))];
    groups[501] = [];
    groups[502] = Array.from({ length: LIMITS.CHANGES_PER_TRANSACTION + 1 }, (_, index) =>
      create('task', task(`c${index}`)),
    );
    const outcomes = await store.batch(groups);
    assert.deepEqual(
      outcomes.flatMap((outcome, index) => (outcome === undefined ? [] : [[index, outcome.reason]])),
      [
        [500, 'unknown-object'],
        [502, 'too-many'],
      ],
    );
    assert.equal(store.view().count('task'), 997 * 2);
    assert.ok(store.view().version <= 40, `${store.view().version} transactions`);
    await store.close();
  });

  it('lets single changes through while a batch runs', async () => {
    const { store } = await open(memoryDisk());
    const order: string[] = [];
    const batch = store
      .batch(Array.from({ length: 3000 }, (_, index) => [create('task', task(`a${index}`))]))
      .then(() => order.push('batch'));
    await store.commit([create('task', task('single'))]).then(() => order.push('single'));
    await batch;
    assert.deepEqual(order, ['single', 'batch']);
    await store.close();
  });

  it('refuses more than may be on their way', async () => {
    const { store } = await open(memoryDisk(), { store: { pendingTransactions: 3 } });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 5 }, (_, index) => store.commit([create('task', task(`t${index}`))])),
    );
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected'],
    );
    await assert.rejects(Promise.reject(outcomes[4]?.status === 'rejected' ? outcomes[4].reason : undefined), {
      reason: 'too-many',
    });
    await store.commit([create('task', task('t9'))]);
    const groups = Array.from({ length: 2000 }, (_, index) => [create('task', task(`b${index}`))]);
    assert.ok(
      (await store.batch(groups)).every((outcome) => outcome === undefined),
      'a batch waits instead',
    );
    await store.close();
  });

  it('goes on after a change whose wait ran out', async () => {
    const clock = new ManualClock();
    const log = oneMemberLog('found', { disk: memoryDisk(), clock });
    const store = new ReplicatedStore({ log, logger: silentLogger, clock });
    await store.start();
    const late = store.commit([create('task', task('t1'))], { timeoutMs: 50 });
    const behind = store.commit([create('task', task('t2'))], { timeoutMs: 5000 });
    clock.advance(50);
    await assert.rejects(late, { code: 'deadline' });
    await behind;
    assert.deepEqual(
      [...store.view().all('task')].map(({ id }) => id),
      ['t1', 't2'],
    );
    await store.close();
  });

  it('says that it stops, or why the log has stopped', async () => {
    const { store } = await open(memoryDisk());
    await store.close();
    await assert.rejects(store.commit([create('task', task('t1'))]), { reason: 'shutting-down' });
    await assert.rejects(
      store.update(() => 1),
      { reason: 'shutting-down' },
    );
    assert.equal((await store.batch([[create('task', task('t1'))]]))[0]?.reason, 'shutting-down');
    const full = await open(memoryDisk({ capacityBytes: 40_000 }));
    const fill = async () => {
      for (let index = 0; ; index++) await full.store.commit([create('task', task(`t${index}`))]);
    };
    await assert.rejects(fill(), { reason: 'disk-full' });
    await assert.rejects(full.store.commit([create('task', task('x'))]), { reason: 'disk-full' });
    await full.store.close();
  });
});

describe('manager/replicated-store: coming back', () => {
  it('has the same state after a restart, from the log and from snapshots', async () => {
    for (const snapshotEntries of [1000, 7]) {
      const disk = memoryDisk();
      const { store, log } = await open(disk, { log: { snapshotEntries } });
      for (let index = 0; index < 40; index++) {
        await store.commit([create('task', task(`t${index}`, { nodeId: `n${index % 4}` }))]);
        const read = store.view().get('task', `t${Math.floor(index / 2)}`);
        assert.ok(read !== undefined);
        await store
          .commit([index % 5 === 0 ? remove('task', read) : update('task', { ...read, slot: index })])
          .catch(() => {});
        if (index % 5 === 0) await store.commit([create('task', task(`t${Math.floor(index / 2)}`))]).catch(() => {});
      }
      if (snapshotEntries === 7) await until(() => log.status().snapshotIndex > 70, 'a snapshot is taken');
      const view = store.view();
      await store.close();
      const again = await open(reopened(disk), { log: { snapshotEntries } });
      assert.equal(again.store.view().version, view.version);
      assert.deepEqual([...again.store.view().all('task')], [...view.all('task')]);
      assert.deepEqual([...again.store.view().tasksOfNode('n1')], [...view.tasksOfNode('n1')]);
      await again.store.commit([create('task', task('more'))]);
      assert.equal(again.store.view().version, view.version + 1);
      await again.store.close();
    }
  });
});

describe('manager/replicated-store: watching', () => {
  it('shows a view and everything after it, also while writes are on their way', async () => {
    const { store } = await open(memoryDisk());
    const seen: CommitEvents[][] = [];
    const readers: Promise<void>[] = [];
    const writes: Promise<void>[] = [];
    for (let index = 0; index < 50; index++) {
      writes.push(store.commit([create('task', task(`t${index}`))]));
      if (index % 10 === 0) await writes.at(-1);
      if (index % 7 !== 0) continue;
      const { view, commits } = store.viewAndWatch();
      const mine: CommitEvents[] = [];
      seen.push(mine);
      readers.push(
        (async () => {
          let count = view.count('task');
          for await (const commit of commits) {
            mine.push(commit);
            count += commit.events.length;
            assert.equal(commit.version, view.version + mine.length);
            if (count === 50) break;
          }
        })(),
      );
    }
    await Promise.all([...writes, ...readers]);
    assert.equal(store.status().watchers, 0, 'a reader that leaves is forgotten');
    await store.close();
  });

  it('resumes after a version, also across a restart, and says when it cannot', async () => {
    const disk = memoryDisk();
    const first = await open(disk);
    for (let index = 1; index <= 10; index++) await first.store.commit([create('task', task(`t${index}`))]);
    await first.store.close();
    const { store } = await open(reopened(disk), { store: { historyEvents: 5, watcherEvents: 5 } });
    const commits = store.watch({ after: 7 });
    assert.deepEqual([(await commits.next()).value?.version, (await commits.next()).value?.version], [8, 9]);
    assert.throws(() => store.watch({ after: 4 }), { reason: 'version-gone' });
    assert.throws(() => store.watch({ after: 11 }), { reason: 'version-gone' });
    await store.close();
  });

  it('ends with an error for a reader that falls behind, and when the store closes', async () => {
    const { store } = await open(memoryDisk(), { store: { historyEvents: 5, watcherEvents: 5 } });
    const slow = store.watch();
    for (let index = 0; index < 8; index++) await store.commit([create('task', task(`t${index}`))]);
    await assert.rejects(slow.next(), { reason: 'slow-watcher' });
    const waiting = store.watch().next();
    await store.close();
    await assert.rejects(waiting, { reason: 'shutting-down' });
  });

  it('filters, and ends quietly when it is closed', async () => {
    const { store } = await open(memoryDisk());
    const commits = store.watch({ filter: ({ table }) => table === 'service' });
    const next = commits.next();
    await store.commit([create('task', task('t1'))]);
    await store.commit([create('service', service('s1')), create('task', task('t2'))]);
    assert.deepEqual(
      (await next).value?.events.map(({ object }) => object.id),
      ['s1'],
    );
    const end = commits.next();
    commits.close();
    assert.equal((await end).done, true);
    assert.equal((await commits.next()).done, true);
    await store.close();
  });

  it('tells listeners of each commit with the view that includes it, before the writer', async () => {
    const { store } = await open(memoryDisk());
    const order: string[] = [];
    store.onCommit(() => {
      throw new Error('a broken listener');
    });
    const stop = store.onCommit((commit, view) =>
      order.push(`${commit.version} ${view.version} ${view.count('task')}`),
    );
    await store.commit([create('task', task('t1'))]).then(() => order.push('written'));
    await store.commit([create('task', task('t2'))]);
    stop();
    await store.commit([create('task', task('t3'))]);
    assert.deepEqual(order, ['1 1 1', 'written', '2 2 2']);
    await store.close();
  });

  it('keeps old views as they were', async () => {
    const { store } = await open(memoryDisk());
    const views = [store.view()];
    for (let index = 0; index < 20; index++) {
      await store.commit([create('task', task(`t${index}`))]);
      views.push(store.view());
    }
    views.forEach((view, index) => assert.deepEqual([view.version, view.count('task')], [index, index]));
    assert.equal((await store.readBarrier()).version, 20);
    await store.close();
  });
});

describe('manager/replicated-store: in memory', () => {
  it('does not keep what is gone', async () => {
    const disk = new MemoryDisk({ random: { next: () => 0.5 } });
    const { store } = await open(disk, { store: { historyEvents: 10, watcherEvents: 10 } });
    for (let round = 0; round < 5; round++) {
      await store.batch(Array.from({ length: 500 }, (_, index) => [create('task', task(`t${index}`))]));
      await store.batch([...store.view().all('task')].map((one) => [remove('task', one)]));
      assert.equal(store.view().count('task'), 0);
      assert.deepEqual([...store.view().tasksOfService('s1')], []);
    }
    await store.close();
  });
});
