/**
 * Goal: a manager saves on request and by its schedule, keeps the newest files, and whatever happens to the disk is
 * seen and harms nothing else. Method: the real store over a log in memory, a clock by hand, a disk that fails on demand.
 */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import type { Cluster } from '#gen/swarm/v1/objects.ts';
import { LogConfig } from '#gen/swarm/v1/specs.ts';
import { Backups, type BackupsOptions } from '#manager/backup/index.ts';
import { MemoryDisk } from '#manager/log/index.ts';
import type { ReplicatedStore } from '#manager/replicated-store/index.ts';
import { until } from '#test/manager/log/support.ts';
import { CLUSTER_ID, clusterObject, type InstantLog, instantStore, KEY, MEMBERS, opened, START_MS } from './support.ts';

const DIRECTORY = '/snapshots';
const HOUR_MS = 60 * 60 * 1000;
const EVERY_6_HOURS = { saveIntervalMs: 6 * HOUR_MS, savesKept: 3 };

interface Setup {
  readonly backups: Backups;
  readonly store: ReplicatedStore;
  readonly log: InstantLog;
  readonly disk: MemoryDisk;
  readonly clock: ManualClock;
  names(): readonly string[];
}

const running: Backups[] = [];

async function setup(
  cluster: Cluster,
  { disk = memoryDisk(), clock = new ManualClock(START_MS), ...more }: Partial<BackupsOptions & Setup> = {},
): Promise<Setup> {
  const { store, log } = await instantStore(cluster);
  const backups = backupsOf({ store, log, clock, disk, ...more });
  running.push(backups);
  backups.start();
  return { backups, store, log, disk, clock, names: () => namesOn(disk) };
}

function backupsOf(
  options: Pick<BackupsOptions, 'store' | 'log' | 'clock' | 'disk'> & Partial<BackupsOptions>,
): Backups {
  return new Backups({
    members: () => MEMBERS,
    nodeId: 'm1',
    release: '0.1.0',
    directory: DIRECTORY,
    logger: silentLogger,
    ...options,
  });
}

/** What Backups needs of the store, so that some of it can be replaced. */
function storeMethods(store: ReplicatedStore): BackupsOptions['store'] {
  return {
    view: () => store.view(),
    saved: () => store.saved(),
    readBarrier: (options) => store.readBarrier(options),
    commit: (changes, options) => store.commit(changes, options),
    onCommit: (listener) => store.onCommit(listener),
    onReplaced: (listener) => store.onReplaced(listener),
  };
}

function memoryDisk(options = {}, content?: ReadonlyMap<string, Uint8Array>): MemoryDisk {
  return new MemoryDisk({ random: new SeededRandom(1), ...options }, content);
}

function namesOn(disk: MemoryDisk): readonly string[] {
  return [...disk.files().keys()].map((path) => path.slice(DIRECTORY.length + 1)).sort();
}

async function bytesOf(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

/** Moves the clock and waits for the end of the round that begins then: the timer of the next one. */
async function nextSave({ clock, names }: Setup, byMs: number): Promise<void> {
  const before = names().join();
  clock.advance(byMs);
  await until(() => clock.nextDue() !== undefined, 'the round is over');
  assert.notEqual(names().join(), before, 'something was saved');
}

describe('manager/backup: saving on request', () => {
  afterEach(async () => {
    await Promise.all(running.splice(0).map((one) => one.close()));
  });

  it('saves what was acknowledged before, with a description of it', async () => {
    const { backups, store } = await setup(clusterObject());
    const { description, pieces } = await backups.save();
    assert.equal(description.version, store.view().version);
    assert.equal(description.clusterId, CLUSTER_ID);
    assert.equal(description.logIndex, 1);
    const saved = await opened(await bytesOf(pieces));
    assert.equal(saved.state.count('service'), 1);
    assert.deepEqual(saved.members, MEMBERS);
    assert.deepEqual(saved.description, description);
  });

  it('fails where nobody knows what was acknowledged', async () => {
    const { backups, log } = await setup(clusterObject());
    log.failure = new SwarmError({ code: 'unavailable', reason: 'no-quorum', message: '2 of 3 managers are gone' });
    await assert.rejects(backups.save(), /2 of 3 managers are gone/);
  });

  it('gives a cluster of an older release a key once, when the level allows it', async () => {
    const { backups, store } = await setup(clusterObject({}, { snapshotKey: new Uint8Array(), featureLevel: 1 }));
    await assert.rejects(backups.key(), (error: SwarmError) => error.reason === 'feature-level');
    const cluster = store.view().cluster() as Cluster;
    assert.equal(cluster.snapshotKey.length, 0);
    await store.commit([{ kind: 'update', table: 'cluster', object: { ...cluster, featureLevel: 2 } }]);
    const first = await backups.key();
    assert.equal(first.key.length, 32);
    assert.deepEqual((await backups.key()).key, first.key);
    const { pieces } = await backups.save();
    await opened(await bytesOf(pieces), first.key);
  });

  it('leaves the making of the key to the leader', async () => {
    const { backups, log } = await setup(clusterObject({}, { snapshotKey: new Uint8Array(), featureLevel: 1 }));
    log.become({ state: 'follower', term: 1, leader: 'other' });
    await assert.rejects(backups.key(), /feature level/);
    const follower = await setup(clusterObject({}, { snapshotKey: new Uint8Array(), featureLevel: 1 }));
    follower.log.become({ state: 'follower', term: 1, leader: 'other' });
    const cluster = follower.store.view().cluster() as Cluster;
    // As it comes from the leader: by the log, while this one follows.
    follower.log.become({ state: 'leader', term: 2 });
    const raised = follower.store.commit([
      { kind: 'update', table: 'cluster', object: { ...cluster, featureLevel: 2 } },
    ]);
    follower.log.become({ state: 'follower', term: 2, leader: 'other' });
    await raised;
    await assert.rejects(follower.backups.key(), (error: SwarmError) => error.reason === 'not-leader');
    follower.log.become({ state: 'leader', term: 3 });
    assert.equal((await follower.backups.key()).key.length, 32);
  });
});

describe('manager/backup: scheduled saves', () => {
  afterEach(async () => {
    await Promise.all(running.splice(0).map((one) => one.close()));
  });

  it('are made at once, then at the interval, and the newest are kept', async () => {
    const all = await setup(clusterObject(EVERY_6_HOURS));
    await nextSave(all, 0);
    assert.equal(all.names().length, 1);
    for (let count = 2; count <= 5; count++) {
      await nextSave(all, 6 * HOUR_MS);
      assert.equal(all.names().length, Math.min(3, count));
    }
    assert.deepEqual(
      all.names().map((name) => name.split('-')[2]),
      ['20260606T190809000Z', '20260607T010809000Z', '20260607T070809000Z'],
    );
    const newest = all.disk.files().get(`${DIRECTORY}/${all.names().at(-1)}`);
    const saved = await opened(newest as Uint8Array, KEY);
    assert.equal(saved.state.cluster()?.id, CLUSTER_ID);
    assert.equal(all.backups.status.lastSavedMs, START_MS + 24 * HOUR_MS);
  });

  it('are not due earlier after a restart', async () => {
    const first = await setup(clusterObject(EVERY_6_HOURS));
    await nextSave(first, 0);
    await first.backups.close();
    const clock = new ManualClock(START_MS + 2 * HOUR_MS);
    const second = await setup(clusterObject(EVERY_6_HOURS), { disk: first.disk, clock });
    await until(() => clock.nextDue() !== undefined, 'it has looked');
    for (let hour = 0; hour < 3; hour++) {
      clock.advance(HOUR_MS);
      await until(() => clock.nextDue() !== undefined, 'it has looked again');
    }
    assert.equal(second.names().length, 1);
    await nextSave(second, HOUR_MS);
    assert.equal(second.names().length, 2);
  });

  it('do not wait for a clock that was wrong', async () => {
    const name = `${DIRECTORY}/swarm-${CLUSTER_ID}-20991231T000000000Z-5.snapshot`;
    const disk = memoryDisk({}, new Map([[name, new Uint8Array(1)]]));
    const all = await setup(clusterObject({ ...EVERY_6_HOURS, savesKept: 2 }), { disk });
    for (let hour = 0; hour < 18; hour++) {
      await until(() => all.clock.nextDue() !== undefined, 'it has looked');
      const saved = all.names().filter((one) => !one.includes('2099'));
      // The newest of the right time is there, whatever files of the wrong one are.
      assert.deepEqual(
        [saved.length, all.backups.status.lastSavedMs],
        [1, START_MS + Math.floor(hour / 6) * 6 * HOUR_MS],
      );
      all.clock.advance(HOUR_MS);
    }
  });

  it('begin and end with the setting', async () => {
    const all = await setup(clusterObject());
    assert.equal(all.clock.nextDue(), undefined);
    const set = async (log: Partial<LogConfig>): Promise<void> => {
      const cluster = all.store.view().cluster() as Cluster;
      const spec = { ...cluster.spec, log: LogConfig.create(log) } as Cluster['spec'];
      await all.store.commit([{ kind: 'update', table: 'cluster', object: { ...cluster, spec } }]);
    };
    await set(EVERY_6_HOURS);
    await nextSave(all, 0);
    await until(() => all.clock.nextDue() !== undefined, 'the next one is due');
    await set({ saveIntervalMs: 0 });
    assert.equal(all.clock.nextDue(), undefined);
    assert.equal(all.backups.status.intervalMs, 0);
  });

  it('leave files of others alone, and clear what a crash left', async () => {
    const others = [`swarm-${'x'.repeat(25)}-20200101T000000000Z-1.snapshot`, 'notes.txt', 'swarm-prod.snapshot.tmp'];
    const leftover = `swarm-${CLUSTER_ID}-20200101T000000000Z-1.snapshot.tmp`;
    const content = new Map([...others, leftover].map((name) => [`${DIRECTORY}/${name}`, new Uint8Array(3)]));
    const all = await setup(clusterObject({ saveIntervalMs: HOUR_MS, savesKept: 1 }), {
      disk: memoryDisk({}, content),
    });
    await nextSave(all, 0);
    await nextSave(all, HOUR_MS);
    for (const name of others) assert.ok(all.names().includes(name), name);
    assert.ok(!all.names().includes(leftover));
    assert.equal(all.names().length, others.length + 1);
  });

  it('tell of a full disk, leave nothing of the attempt, and go on when there is room', async () => {
    const full = await setup(clusterObject(EVERY_6_HOURS), { disk: memoryDisk({ capacityBytes: 300 }) });
    await until(() => full.backups.status.problem !== undefined, 'it has failed');
    assert.equal(full.backups.status.problem?.reason, 'disk-full');
    assert.match(full.backups.status.problem?.message ?? '', /no snapshot was saved to \/snapshots/);
    assert.deepEqual(full.names(), []);
    // Writing goes on.
    const cluster = full.store.view().cluster() as Cluster;
    await full.store.commit([{ kind: 'update', table: 'cluster', object: cluster }]);

    const scarce = { free: 1000 };
    const all = await setup(clusterObject(EVERY_6_HOURS), { freeBytes: async () => Promise.resolve(scarce.free) });
    await until(() => all.backups.status.problem !== undefined, 'it has refused');
    assert.match(all.backups.status.problem?.message ?? '', /256 MiB are kept for the manager's log/);
    assert.deepEqual(all.names(), []);
    scarce.free = 1024 ** 3;
    await until(() => all.clock.nextDue() !== undefined, 'it tries again');
    await nextSave(all, 60_000);
    assert.equal(all.names().length, 1);
    await until(() => all.backups.status.problem === undefined, 'the problem is gone');
  });

  it('leave whole files only, whichever operation of the disk fails or is the last', async () => {
    const counting = await setup(clusterObject({ saveIntervalMs: HOUR_MS, savesKept: 1 }));
    await nextSave(counting, 0);
    const operations = counting.disk.operations;
    assert.ok(operations > 8);
    for (let operation = 1; operation <= operations; operation++) {
      const failing = await setup(clusterObject(EVERY_6_HOURS), {
        disk: memoryDisk({ failAt: { operation, code: 'EIO' } }),
      });
      await until(() => failing.clock.nextDue() !== undefined, 'it is done');
      for (const name of failing.names()) await opened(failing.disk.files().get(`${DIRECTORY}/${name}`) as Uint8Array);
      const disk = memoryDisk({ crashAt: operation });
      const { store, log } = await instantStore(clusterObject(EVERY_6_HOURS));
      const crashing = backupsOf({ store, log, clock: new ManualClock(START_MS), disk });
      crashing.start();
      await disk.crashed;
      const after = disk.afterCrash({ random: new SeededRandom(operation) });
      for (const [path, bytes] of after.files()) if (path.endsWith('.snapshot')) await opened(bytes);
      const again = await setup(clusterObject(EVERY_6_HOURS), { disk: after });
      await until(() => again.clock.nextDue() !== undefined, 'it goes on');
      assert.equal(again.names().length, 1);
      assert.ok(again.names()[0]?.endsWith('.snapshot'));
    }
  });

  it('do not hold up a manager that stops without a quorum', async () => {
    const all = await setup(clusterObject());
    const hanging = new Backups({
      store: { ...storeMethods(all.store), readBarrier: () => new Promise(() => {}) },
      log: all.log,
      members: () => MEMBERS,
      nodeId: 'm1',
      release: '0.1.0',
      directory: DIRECTORY,
      clock: all.clock,
      logger: silentLogger,
      disk: all.disk,
    });
    const cluster = all.store.view().cluster() as Cluster;
    const spec = { ...cluster.spec, log: LogConfig.create(EVERY_6_HOURS) } as Cluster['spec'];
    await all.backups.close();
    await all.store.commit([{ kind: 'update', table: 'cluster', object: { ...cluster, spec } }]);
    hanging.start();
    await until(() => all.disk.operations > 1, 'it is under way');
    await hanging.close();
    assert.deepEqual(all.names(), []);
  });

  it('give up at once when the manager stops', async () => {
    const all = await setup(clusterObject(EVERY_6_HOURS));
    await all.backups.close();
    assert.ok(!all.names().some((name) => name.endsWith('.tmp')));
    assert.equal(all.clock.nextDue(), undefined);
  });
});
