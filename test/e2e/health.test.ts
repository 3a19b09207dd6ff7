/**
 * Goal: what tasks say of their health decides where connections go, and which of them live. Method: a swarm of real
 * daemons; tasks whose files are changed from outside.
 */
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { HealthState, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { IMAGE, MANAGER, useCluster } from './support/cluster.ts';

const PORT = 18_095;
/** Every task says its own name, and has the file that its probe asks for. */
const PAGE = 'mkdir -p /www; hostname >/www/index.html; echo >/www/ready; exec httpd -f -p 80 -h /www';

describe('e2e: health', function () {
  const cluster = useCluster(this);

  /** A file in the running container, as this machine sees it. */
  function fileOf(task: Task, path: string): string {
    const pid = task.status?.container?.pid ?? 0;
    assert.ok(pid > 1, 'the task runs');
    return `/proc/${pid}/root${path}`;
  }

  /** Names of all that answer at the published port; empty where nobody is led anywhere. */
  async function answering(): Promise<ReadonlySet<string>> {
    const script = `
      const names = new Set();
      for (let count = 0; count < 12; count++)
        await fetch('http://127.0.0.1:${PORT}/', { headers: { connection: 'close' } })
          .then(async (answer) => names.add((await answer.text()).trim()))
          .catch(() => {});
      console.log(JSON.stringify([...names]));`;
    const { stdout, stderr } = await cluster().lab.exec(MANAGER, [
      process.execPath,
      '--input-type=module',
      '-e',
      script,
    ]);
    assert.notEqual(stdout, '', stderr);
    return new Set(JSON.parse(stdout) as string[]); // of the script above
  }

  async function answeringAre(names: readonly string[], what: string): Promise<void> {
    await cluster().until(
      async () => [...(await answering())].toSorted(),
      (found) => found.join() === names.toSorted().join(),
      what,
    );
  }

  it('a task that is not ready is led no connections, lives on, and is back once it is', async () => {
    const flags = [
      '--stop-grace-period',
      '1s',
      '--publish',
      `${PORT}:80`,
      '--hostname',
      'h{{.Task.Slot}}',
      '--no-resolve-image',
      '-q',
    ];
    const probe = ['--readiness-probe', 'http:80/ready,interval=200ms,failures=1'];
    const serve = ['--name', 'page', '--replicas', '2', ...flags, ...probe, IMAGE, 'sh', '-c', PAGE];
    await cluster().must(['service', 'create', ...serve]);
    await answeringAre(['h1', 'h2'], 'both tasks to answer');
    const [first, second] = (await cluster().running('page')).toSorted((a, b) => a.slot - b.slot);
    assert.ok(first !== undefined && second !== undefined);
    await rm(fileOf(first, '/www/ready'));
    await answeringAre(['h2'], 'the other task to answer alone');
    assert.match(await cluster().must(['service', 'ls']), / 2\/2 \(1 ready\) /);
    assert.match(
      await cluster().must(['service', 'ps', '--no-trunc', 'page']),
      /Running .*"not ready: GET \/ready at port 80 answered 404/,
    );
    await rm(fileOf(second, '/www/ready'));
    await answeringAre([], 'nobody to answer');
    for (const task of [first, second]) await writeFile(fileOf(task, '/www/ready'), '');
    await answeringAre(['h1', 'h2'], 'both tasks to be back');
    const now = await cluster().tasks('page');
    assert.deepEqual(now.map(({ id }) => id).toSorted(), [first.id, second.id].toSorted(), 'nothing was replaced');
    await cluster().remove('page');
  });

  it('a task runs once its check has succeeded; one whose check hangs is replaced, with its last words', async () => {
    const check = 'test ! -f /tmp/hang || sleep 300';
    const health = ['--health-cmd', check, '--health-interval', '300ms', '--health-timeout', '700ms'];
    const rules = ['--health-retries', '1', '--restart-delay', '0s', '--stop-grace-period', '1s', '--no-resolve-image'];
    const words = 'echo first words; echo last words; exec sleep 1000';
    await cluster().must(['service', 'create', '-q', '--name', 'ill', ...health, ...rules, IMAGE, 'sh', '-c', words]);
    const [task] = await cluster().running('ill');
    assert.ok(task !== undefined);
    assert.equal(task.status?.health?.state, HealthState.HEALTHY);
    await writeFile(fileOf(task, '/tmp/hang'), '');
    const isOver = (one: Task): boolean => one.id === task.id && one.status?.state === TaskState.FAILED;
    const tasks = await cluster().until(
      () => cluster().tasks('ill'),
      (found) =>
        found.some(isOver) && found.some((one) => one.id !== task.id && one.status?.state === TaskState.RUNNING),
      'the task to be replaced',
    );
    const failed = tasks.find(isOver);
    assert.equal(failed?.status?.error, 'unhealthy: health check failed: took longer than 700 ms');
    assert.deepEqual(failed.status.lastLog, ['first words', 'last words']);
    assert.match(await cluster().must(['service', 'ps', '--no-trunc', 'ill']), /unhealthy: .*; last line: last words"/);
  });
});
