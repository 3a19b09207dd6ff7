/**
 * Goal: 100,000 tasks that fail one after the other leave a leader as it was: its memory and its log stay bounded.
 * Method: the real store and log with the settings that managers have, all loops, and an agent that reports every task as
 * failed as soon as it may run, with as many last words as an agent may send. The clock of the loops runs ahead.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ManualClock } from '#common/clock.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { type Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { RestartCondition, RestartPolicy } from '#gen/swarm/v1/specs.ts';
import { DEFAULT_LOG_CONFIG } from '#manager/log/index.ts';
import { createLoops } from '#manager/orchestrator/index.ts';
import { ReplicatedStore } from '#manager/replicated-store/index.ts';
import { Runner } from '#manager/runner/index.ts';
import { oneMemberLog } from '#test/manager/log/support.ts';
import { create, node, revision, service, spec } from '#test/manager/loops/objects.ts';

const FAILURES = 100_000;
const SLOTS = 500;
const NODES = 10;
/** A tenth of the longest delay between two restarts. */
const STEP_MS = 30_000;
const MEMORY_BYTES_MAX = 300 * 1024 * 1024;
/** Two segments, the entries up to the next snapshot, two snapshots. */
const LOG_BYTES_MAX = 256 * 1024 * 1024;
const STATUSES_AT_ONCE = 100;
const LAST_WORDS = Array.from({ length: 10 }, (_, line) => `line ${line} `.padEnd(409, '.'));

const mayRun = (task: Task): boolean =>
  task.status?.state === TaskState.ASSIGNED && task.desiredState === TaskState.RUNNING;

/** Of this process, tests and all, without what is garbage. */
function memoryHeld(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function sizeOf(folder: string): Promise<number> {
  const sizes = (await readdir(folder, { recursive: true })).map((name) =>
    stat(join(folder, name)).then(
      ({ size }) => size,
      () => 0, // was removed meanwhile
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

describe('long: failing tasks', function () {
  this.timeout(900_000);
  const clock = new ManualClock();
  const failures: string[] = [];
  let folder: string;
  let store: ReplicatedStore;
  let runner: Runner;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'failing-tasks-'));
    store = new ReplicatedStore({
      log: oneMemberLog('found', { directory: folder, config: DEFAULT_LOG_CONFIG }),
      logger: silentLogger,
    });
    await store.start();
    runner = new Runner({
      loops: createLoops({ random: new SeededRandom(1) }),
      store,
      clock,
      logger: silentLogger,
      observer: { failed: (loop, error) => failures.push(`${loop}: ${error.message}`) },
    });
    runner.start();
  });

  after(async () => {
    await runner.stop();
    await store.close();
    await rm(folder, { recursive: true });
  });

  /** Gives the number of tasks that have failed by it. */
  function reportFailed(ids: readonly string[]): Promise<number> {
    return store.update((transaction) => {
      const tasks = ids
        .map((id) => transaction.view.get('task', id))
        .filter((task) => task !== undefined && mayRun(task));
      for (const task of tasks) {
        const ended = { state: TaskState.FAILED, error: 'task: non-zero exit (1)', lastLog: LAST_WORDS };
        const status = TaskStatus.create({ ...ended, timestampMs: clock.now() });
        transaction.update('task', { ...(task as Task), status });
      }
      return tasks.length;
    });
  }

  it(`${FAILURES} of them leave memory and log as they were`, async () => {
    for (let i = 1; i <= NODES; i++) await store.commit([create('node', node(`n${i}`))]);
    const restart = RestartPolicy.create({ condition: RestartCondition.ANY, delayMs: 0 });
    const declared = spec({ replicas: SLOTS, restart });
    await store.commit([create('service', service('web', declared)), create('revision', revision('web', 1, declared))]);
    let failed = 0;
    let largestLog = 0;
    let mostTasks = 0;
    for (let round = 0; failed < FAILURES; round++) {
      clock.advance(STEP_MS);
      await turn();
      const due = [...store.view().all('task')].filter(mayRun).map(({ id }) => id);
      for (let from = 0; from < due.length; from += STATUSES_AT_ONCE)
        failed += await reportFailed(due.slice(from, from + STATUSES_AT_ONCE)).catch(() => 0); // written meanwhile
      if (round % 10 !== 0) continue;
      largestLog = Math.max(largestLog, await sizeOf(folder));
      mostTasks = Math.max(mostTasks, store.view().count('task'));
    }
    const heldBytes = memoryHeld();
    console.log(
      `      ${Math.round(heldBytes / 2 ** 20)} MiB of memory, ${Math.round(largestLog / 2 ** 20)} MiB of log, ${mostTasks} tasks at most`,
    );
    assert.deepEqual(failures, []);
    assert.ok(mostTasks <= SLOTS * 7, `${mostTasks} tasks`);
    assert.ok(heldBytes <= MEMORY_BYTES_MAX, `${heldBytes} bytes of memory`);
    assert.ok(largestLog <= LOG_BYTES_MAX, `${largestLog} bytes of log`);
  });
});
