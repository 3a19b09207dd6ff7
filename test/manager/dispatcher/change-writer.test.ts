/**
 * Goal: what agents say is written or they are told that it was not; nothing is lost in between. Method: the writer on
 * a store whose commits other writers get ahead of, and that fails when told to.
 */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { silentLogger } from '#common/log.ts';
import { Node, Task, TaskHealth, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { ChangeWriter, type PendingStatus } from '#manager/dispatcher/change-writer.ts';
import type { Change } from '#manager/store/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

class FailingStore {
  readonly memory = new MemoryView();
  readonly sizes: number[] = [];
  /** Throws to refuse a commit. */
  judge: (changes: readonly Change[]) => void = () => {};

  view(): MemoryView {
    return this.memory;
  }

  async decide(decide: (view: MemoryView) => readonly Change[]): Promise<void> {
    const changes = decide(this.memory);
    await Promise.resolve();
    this.judge(changes);
    this.sizes.push(changes.length);
    this.memory.commit(changes);
  }
}

describe('dispatcher: change writer', () => {
  let store: FailingStore;
  let writer: ChangeWriter;
  let heard: string[];

  beforeEach(() => {
    store = new FailingStore();
    writer = new ChangeWriter(store, silentLogger);
    heard = [];
    store.memory.commit([{ kind: 'create', table: 'node', object: Node.create({ id: 'n' }) }]);
  });

  function addTasks(...ids: readonly string[]): void {
    const status = TaskStatus.create({ state: TaskState.ASSIGNED });
    const tasks = ids.map((id) => Task.create({ id, nodeId: 'n', status }));
    store.memory.commit(tasks.map((object) => ({ kind: 'create', table: 'task', object })));
  }

  function status(taskId: string, state: TaskState): PendingStatus {
    return { nodeId: 'n', taskId, status: TaskStatus.create({ state }) };
  }

  function outcome(name: string): { committed: () => void; failed: () => void } {
    return { committed: () => heard.push(`${name} committed`), failed: () => heard.push(`${name} failed`) };
  }

  async function untilHeard(count: number): Promise<void> {
    for (let turn = 0; turn < 1000 && heard.length < count; turn++) await new Promise((next) => setImmediate(next));
    assert.ok(heard.length >= count, heard.join());
  }

  function stateOf(taskId: string): TaskState | undefined {
    return store.memory.get('task', taskId)?.status?.state;
  }

  it('writes what several sessions say at once in one transaction', async () => {
    addTasks('a', 'b');
    writer.statuses([status('a', TaskState.RUNNING)], outcome('first'));
    writer.statuses([status('b', TaskState.FAILED)], outcome('second'));
    await untilHeard(2);
    assert.deepEqual(heard, ['first committed', 'second committed']);
    assert.deepEqual([stateOf('a'), stateOf('b')], [TaskState.RUNNING, TaskState.FAILED]);
    assert.deepEqual(store.sizes, [2]);
  });

  it('splits what no transaction takes, and acknowledges it when all of it is written', async () => {
    const ids = Array.from({ length: 2 * LIMITS.CHANGES_PER_TRANSACTION + 1 }, (_, index) => `t${index}`);
    addTasks(...ids);
    const statuses = ids.map((id) => status(id, TaskState.RUNNING));
    writer.statuses(statuses, outcome('all'));
    await untilHeard(1);
    assert.deepEqual(heard, ['all committed']);
    assert.deepEqual(store.sizes, [LIMITS.CHANGES_PER_TRANSACTION, LIMITS.CHANGES_PER_TRANSACTION, 1]);
  });

  it('drops what is out of date: an earlier state, another node’s task, a task that has ended', async () => {
    addTasks('a', 'b');
    writer.statuses([status('a', TaskState.COMPLETE)], outcome('end'));
    await untilHeard(1);
    writer.statuses(
      [
        status('a', TaskState.RUNNING),
        { ...status('b', TaskState.RUNNING), nodeId: 'other' },
        status('c', TaskState.RUNNING),
      ],
      outcome('late'),
    );
    await untilHeard(2);
    assert.deepEqual([stateOf('a'), stateOf('b')], [TaskState.COMPLETE, TaskState.ASSIGNED]);
  });

  it('takes news of a task’s health, and not how often a check has failed in a row', async () => {
    addTasks('a');
    const said = (health: Partial<TaskHealth>): PendingStatus => ({
      nodeId: 'n',
      taskId: 'a',
      status: TaskStatus.create({ state: TaskState.RUNNING, health: TaskHealth.create(health) }),
    });
    for (const [index, health] of [
      { ready: true },
      { ready: false, message: 'busy' },
      { ready: false, message: 'busy', failingStreak: 9 },
      { ready: true },
    ].entries()) {
      writer.statuses([said(health)], outcome(String(index)));
      await untilHeard(index + 1);
    }
    assert.deepEqual(store.sizes, [1, 1, 0, 1]);
    assert.equal(store.memory.get('task', 'a')?.status?.health?.ready, true);
  });

  it('keeps no more of what a node says than an agent that is well says', async () => {
    addTasks('a', 'b');
    const status = TaskStatus.create({
      state: TaskState.FAILED,
      error: 'e'.repeat(1e6),
      health: TaskHealth.create({ message: 'm'.repeat(1e6) }),
      lastLog: Array.from({ length: 1000 }, (_, line) => `${line}${'x'.repeat(1000)}`),
    });
    const plain = TaskStatus.create({ state: TaskState.FAILED, error: 'exit', lastLog: ['last'] });
    writer.statuses(
      [
        { nodeId: 'n', taskId: 'a', status },
        { nodeId: 'n', taskId: 'b', status: plain },
      ],
      outcome('both'),
    );
    await untilHeard(1);
    const kept = store.memory.get('task', 'a')?.status;
    assert.ok(kept !== undefined && TaskStatus.encode(kept).length < 13_000);
    assert.match(kept.lastLog.at(-1) ?? '', /^999x/);
    assert.deepEqual(store.memory.get('task', 'b')?.status, plain);
  });

  it('says of everything in a commit that failed that it was not written, and goes on', async () => {
    addTasks('a', 'b');
    store.judge = () => {
      throw new SwarmError({ code: 'deadline', reason: 'timeout', message: 'the disk is slow' });
    };
    writer.statuses([status('a', TaskState.RUNNING)], outcome('first'));
    writer.editNode('n', (node) => ({ ...node, role: 1 }), outcome('edit'));
    await untilHeard(2);
    assert.deepEqual(heard, ['first failed', 'edit failed']);
    store.judge = () => {};
    writer.statuses([status('b', TaskState.RUNNING)], outcome('second'));
    await untilHeard(3);
    assert.equal(heard.at(-1), 'second committed');
  });

  it('one that cannot be written takes none of the others along', async () => {
    addTasks('a', 'bad', 'b');
    store.judge = (changes) => {
      if (changes.some(({ object }) => object.id === 'bad'))
        throw new SwarmError({ code: 'invalid', reason: 'too-large', message: 'too large' });
    };
    for (const id of ['a', 'bad', 'b']) writer.statuses([status(id, TaskState.RUNNING)], outcome(id));
    await untilHeard(3);
    assert.deepEqual(heard, ['a committed', 'bad failed', 'b committed']);
  });

  it('a stopped writer says nothing more', async () => {
    addTasks('a');
    writer.statuses([status('a', TaskState.RUNNING)], outcome('first'));
    writer.stop();
    writer.statuses([status('a', TaskState.RUNNING)], outcome('second'));
    await new Promise((next) => setImmediate(next));
    assert.deepEqual(heard, []);
  });
});
