/**
 * Goal: the whole leader side works on the real store and log, and is quick: from the declaration of 50 replicas to 50
 * assignments. Method: a real log on disk, the real store, all loops; nothing is simulated but the nodes.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { systemRandom } from '#common/system/random.ts';
import { type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { createLoops } from '#manager/orchestrator/index.ts';
import { ReplicatedStore } from '#manager/replicated-store/index.ts';
import { Runner } from '#manager/runner/index.ts';
import { oneMemberLog } from '#test/manager/log/support.ts';
import { create, node, revision, service, spec, update } from '#test/manager/loops/objects.ts';

describe('leader loops on the real store', function () {
  this.timeout(30_000);
  let folder: string;
  let store: ReplicatedStore;
  let runner: Runner;
  const failures: string[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'leader-loops-'));
    const log = oneMemberLog('found', { directory: folder });
    store = new ReplicatedStore({ log, logger: silentLogger });
    await store.start();
    runner = new Runner({
      loops: createLoops({ random: systemRandom }),
      store,
      clock: systemClock,
      logger: silentLogger,
      observer: { failed: (loop, error) => failures.push(`${loop}: ${error.message}`) },
    });
    runner.start();
  });

  afterEach(async () => {
    await runner.stop();
    await store.close();
    await rm(folder, { recursive: true });
  });

  /** Resolves when the tasks are as asked, looking after each commit. */
  function until(ready: (tasks: readonly Task[]) => boolean): Promise<void> {
    const met = new Promise<void>((resolve) => {
      const look = () => {
        if (!ready([...store.view().all('task')])) return;
        stop();
        resolve();
      };
      const stop = store.onCommit(look);
      look();
    });
    return withDeadline(met, 10_000, 'the tasks');
  }

  async function declare(replicas: number): Promise<void> {
    for (const id of ['n1', 'n2', 'n3']) await store.commit([create('node', node(id))]);
    const declared = spec({ replicas });
    await store.commit([create('service', service('web', declared)), create('revision', revision('web', 1, declared))]);
  }

  it('50 replicas are assigned, and the service goes again without a trace', async () => {
    await declare(50);
    await until((tasks) => tasks.filter((task) => task.status?.state === TaskState.ASSIGNED).length === 50);
    const current = store.view().get('service', 'web');
    assert.ok(current !== undefined);
    await store.commit([update('service', { ...current, pendingDelete: true })]);
    await until((tasks) => tasks.length > 0 && tasks.every((task) => task.desiredState === TaskState.REMOVE));
    for (const task of store.view().all('task'))
      await store.commit([
        update('task', { ...task, status: { ...task.status, state: TaskState.SHUTDOWN } as Task['status'] }),
      ]);
    await until((tasks) => tasks.length === 0 && store.view().count('service') === 0);
    assert.equal(store.view().count('revision'), 0);
    assert.deepEqual(failures, []);
  });

  it('a leader that loses and wins leadership again in the middle makes no duplicate', async () => {
    await declare(300);
    for (let i = 0; i < 10; i++) {
      await runner.stop();
      runner.start();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until((tasks) => tasks.filter((task) => task.status?.state === TaskState.ASSIGNED).length >= 300);
    const tasks = [...store.view().all('task')];
    assert.equal(tasks.length, 300);
    assert.equal(new Set(tasks.map((task) => task.slot)).size, 300);
    assert.deepEqual(failures, []);
  });
});
