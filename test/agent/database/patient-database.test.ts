/** Goal: a full disk costs the agent nothing but durability for a while. Method: a database that is full when it is told to be. */
import assert from 'node:assert/strict';
import { type DatabaseWrite, MemoryDatabase, PatientDatabase } from '#agent/database/index.ts';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';

class SmallDisk extends MemoryDatabase {
  full = false;
  reason: 'disk-full' | 'corrupt-state' = 'disk-full';
  batches = 0;

  override async write(writes: readonly DatabaseWrite[]): Promise<void> {
    this.batches++;
    if (this.full) throw new SwarmError({ code: 'exhausted', reason: this.reason, message: 'full' });
    await super.write(writes);
  }
}

describe('agent.db on a full disk', () => {
  const task = (id: string): Task => Task.create({ id, desiredState: TaskState.RUNNING });
  const put = (id: string): DatabaseWrite => ({
    kind: 'put-task',
    task: task(id),
    wanted: true,
    stopReason: undefined,
  });
  const status = (taskId: string, state: TaskState): DatabaseWrite => ({
    kind: 'put-status',
    taskId,
    status: TaskStatus.create({ state }),
  });

  let disk: SmallDisk;
  let clock: ManualClock;
  let database: PatientDatabase;

  beforeEach(() => {
    disk = new SmallDisk();
    clock = new ManualClock();
    database = new PatientDatabase({ database: disk, clock, random: new SeededRandom(1), logger: silentLogger });
  });

  async function turn(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
  }

  async function stored(): Promise<readonly string[]> {
    const { tasks } = await disk.load();
    return tasks.map(({ task: { id }, status: found, wanted }) => `${id} ${found?.state ?? '-'} ${wanted}`);
  }

  it('keeps what has no room, of each record the newest, and writes it in order once there is', async () => {
    await database.write([put('a')]);
    disk.full = true;
    // Both are under way when the first is refused.
    await Promise.all([database.write([put('b')]), database.write([status('b', TaskState.PREPARING)])]);
    await database.write([put('c'), status('c', TaskState.RUNNING)]);
    await database.write([status('b', TaskState.RUNNING), put('b'), { kind: 'delete-task', taskId: 'c' }]);
    await database.write([status('a', TaskState.FAILED)]);
    clock.advance(60_000);
    await turn();
    assert.deepEqual(await stored(), ['a - true']);
    disk.full = false;
    clock.advance(60_000);
    await turn();
    assert.deepEqual(await stored(), [`a ${TaskState.FAILED} true`, `b ${TaskState.RUNNING} true`]);
    await database.write([put('d')]);
    assert.equal((await stored()).length, 3);
  });

  it('does not try all the time, and once more when it is closed', async () => {
    disk.full = true;
    await database.write([put('a')]);
    const before = disk.batches;
    for (let second = 0; second < 60; second++) {
      clock.advance(1_000);
      await turn();
    }
    assert.ok(disk.batches - before <= 12, `${disk.batches - before} attempts in a minute`);
    disk.full = false;
    await database.close();
    assert.deepEqual(await stored(), ['a - true']);
  });

  it('passes on whatever else goes wrong', async () => {
    disk.full = true;
    disk.reason = 'corrupt-state';
    await assert.rejects(database.write([put('a')]), { reason: 'corrupt-state' });
  });
});
