/**
 * Goal: a service finds its data again after its node has lost power, and daemons that are killed while volumes come and
 * go leave nothing mounted. Method: a swarm of real daemons; a service that counts on its disk; a real plugin; SIGKILL at
 * random moments.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { NodeState } from '#gen/swarm/v1/objects.ts';
import { VolumePlugin } from '#test/agent/volumes/volume-plugin.ts';
import { describeTask, IMAGE, SLEEP, useCluster } from '#test/e2e/support/cluster.ts';

const KILLS = Number(process.env['STARLING_KILLS'] ?? 6);
const W1 = 'w1';
/** Counts on, from what is in the file; a number that is written is on the disk. */
const COUNTER = [
  'sh',
  '-c',
  'n=$(cat /data/n 2>/dev/null || echo 0); echo from $n; while :; do n=$((n+1)); echo $n > /data/new; sync; mv /data/new /data/n; sync; sleep 0.2; done',
] as const;

describe('long e2e: volumes', function () {
  const cluster = useCluster(this);

  afterEach(async function () {
    this.timeout(120_000);
    await cluster().lab.start(W1);
    await cluster().removeAll();
    await cluster().nodeState(W1, NodeState.READY);
    await cluster().must(['volume', 'prune', '--all', '--force']);
  });

  async function starts(service: string): Promise<readonly number[]> {
    const text = await cluster().must(['service', 'logs', '--raw', service]);
    return [...text.matchAll(/from (\d+)/g)].map(([, count]) => Number(count));
  }

  it('a node that loses its power comes back with the data, and its task waits for it', async function () {
    this.timeout(180_000);
    const flags = ['--stop-grace-period', '0s', '--mount', 'src=count,dst=/data', '--restart-delay', '0s'];
    // Anywhere but where the manager is, so that there is somebody to ask.
    const place = ['--constraint', 'node.role==worker', '--placement-pref', 'spread=node.labels.none'];
    await cluster().must(['service', 'create', '-d', '--name', 'counter', ...flags, ...place, IMAGE, ...COUNTER]);
    const [first] = await cluster().settled('counter', 1);
    const host = [...(await cluster().nodes())].find(([, node]) => node.id === first?.nodeId)?.[0] ?? '';
    await cluster().until(
      async () => (await cluster().must(['volume', 'inspect', '--format', '{{.Status.Claims}}', 'count'])).trim(),
      (claims) => claims === '[counter.1]',
      'the volume to know whose it is',
    );
    await wait(2_000); // for it to count a little
    await cluster().lab.kill(host);
    try {
      await cluster().nodeState(host, NodeState.DOWN, 60_000);
      await cluster().until(
        async () => (await cluster().tasks('counter')).map(describeTask),
        (tasks) => tasks.some((task) => task.includes(`its volume count is on node ${host}`)),
        'the task to say what it waits for',
        60_000,
      );
    } finally {
      await cluster().lab.start(host);
    }
    const [second] = await cluster().settled('counter', 1, 90_000);
    assert.equal(second?.nodeId, first?.nodeId);
    const counts = await cluster().until(
      () => starts('counter'),
      (found) => found.length > 0 && Math.max(...found) > 0,
      'the counter to say where it goes on',
      60_000,
    );
    assert.ok(Math.max(...counts) >= 2, `it went on from ${counts.join()}`);
  });

  it(`${KILLS} kills of a daemon whose volumes come and go leave nothing mounted`, async function () {
    this.timeout(60_000 * (KILLS + 2));
    const directory = await mkdtemp(join(tmpdir(), 'starling-plugin-'));
    const name = `keeper-${process.pid}`;
    const plugin = new VolumePlugin(directory, `/run/docker/plugins/${name}.sock`, 'directories');
    await plugin.start();
    try {
      const mounts = [
        `src=kept-{{.Task.Slot}},dst=/kept,volume-driver=${name}`,
        'src=scratch-{{.Task.Slot}},dst=/scratch,volume-opt=type=tmpfs,volume-opt=device=tmpfs',
      ].flatMap((mount) => ['--mount', mount]);
      const flags = ['--constraint', `node.hostname==${W1}`, '--stop-grace-period', '0s', '--restart-delay', '0s'];
      await cluster().must([
        'service',
        'create',
        '-d',
        '--name',
        'busy',
        '--replicas',
        '4',
        ...flags,
        ...mounts,
        IMAGE,
        ...SLEEP,
      ]);
      for (let kill = 0; kill < KILLS; kill++) {
        await cluster().must(['service', 'update', '-d', '--force', '--update-parallelism', '0', 'busy']);
        await wait(Math.random() * 2_000); // a kill at any moment is what is tested
        await cluster().lab.killDaemon(W1);
        await cluster().lab.start(W1);
        await cluster().settled('busy', 4, 60_000);
        await cluster().until(mounted, (found) => found.length === 4, 'one mount for each task', 60_000);
        await cluster().until(
          async () => [...plugin.volumes.values()].map(({ mounts: users }) => users.size),
          (users) => users.length === 4 && users.every((count) => count === 1),
          'one use of each volume of the plugin',
          60_000,
        );
      }
      await cluster().remove('busy');
      await cluster().until(mounted, (found) => found.length === 0, 'no mount to be left', 60_000);
      await cluster().until(
        async () => [...plugin.volumes.values()].reduce((sum, { mounts: users }) => sum + users.size, 0),
        (uses) => uses === 0,
        'no use to be left',
        60_000,
      );
      await cluster().must(['volume', 'prune', '--all', '--force']);
      assert.equal(plugin.volumes.size, 0);
    } finally {
      await plugin.destroy();
      await rm(directory, { recursive: true });
      for (const path of ['/run/docker/plugins', '/run/docker']) await rmdir(path).catch(() => {});
    }
  });

  async function mounted(): Promise<readonly string[]> {
    const pid = await cluster().host(W1).daemon.pid();
    const lines = (await readFile(`/proc/${pid}/mountinfo`, 'utf8')).split('\n');
    return lines.map((line) => line.split(' ')[4] ?? '').filter((target) => /\/run\/volumes\//.test(target));
  }
});
