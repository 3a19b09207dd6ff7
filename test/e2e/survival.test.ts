/**
 * Goal: what runs survives the death of what decides, and what dies is replaced. Method: real daemons on four hosts;
 * containers, agents, hosts, links and the manager are killed or cut, and the swarm has to come back to what is declared.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { NodeState, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { type Cluster, MANAGER, SOON_MS, useCluster } from './support/cluster.ts';

/** A host is DOWN after 5 s of silence; then its tasks run elsewhere within 3 s more. */
const REPLACED_MS = 8_000;

async function onHost(cluster: Cluster, service: string, host: string): Promise<readonly Task[]> {
  const nodeId = await cluster.nodeId(host);
  return (await cluster.running(service)).filter((task) => task.nodeId === nodeId);
}

const ids = (tasks: readonly Task[]): readonly string[] => tasks.map((task) => task.id).toSorted();

async function parentOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

/** Whether there is more of the process than its remains. */
async function lives(pid: number): Promise<boolean> {
  return /^State:\s+[^ZX]/m.test(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''));
}

/** File that freezes the container that the process is of. */
async function freezerFile(pid: number): Promise<{ readonly file: string; readonly frozen: string }> {
  const lines = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).split('\n').map((line) => line.split(':'));
  const first = lines.find(([, controllers]) => controllers?.split(',').includes('freezer'));
  if (first !== undefined) return { file: `/sys/fs/cgroup/freezer${first[2]}/freezer.state`, frozen: 'FROZEN' };
  return { file: `/sys/fs/cgroup${lines.find(([number]) => number === '0')?.[2]}/cgroup.freeze`, frozen: '1' };
}

async function freeze(pid: number): Promise<void> {
  const { file, frozen } = await freezerFile(pid);
  await writeFile(file, frozen);
}

async function isFrozen(pid: number): Promise<boolean> {
  const { file, frozen } = await freezerFile(pid);
  return (await readFile(file, 'utf8')).startsWith(frozen.slice(0, 1)) && !/THAWED/.test(await readFile(file, 'utf8'));
}

describe('e2e: survival', function () {
  const cluster = useCluster(this);

  afterEach(async () => {
    await cluster().restore();
  });

  it('a killed container is replaced in its slot', async () => {
    await cluster().createService('web', 2, ['--restart-delay', '0s']);
    const [victim] = await cluster().settled('web', 2);
    assert.ok(victim);
    process.kill(victim.status?.container?.pid ?? 0, 'SIGKILL');
    await cluster().until(
      () => cluster().running('web'),
      (running) => running.length === 2 && !ids(running).includes(victim.id),
      'a replacement',
    );
    const rows = await cluster().must([
      'service',
      'ps',
      '--no-trunc',
      '--format',
      '{{.CurrentState}} {{.Error}}',
      'web',
    ]);
    assert.match(rows, /Failed .* .*non-zero exit \(137\)/);
  });

  it('a container whose monitor is killed ends with it, and is replaced in its slot', async () => {
    await cluster().createService('web', 2, ['--restart-delay', '0s']);
    const [victim, other] = await cluster().settled('web', 2);
    const monitor = await parentOf(victim?.status?.container?.pid ?? 0);
    assert.match(await readFile(`/proc/${monitor}/comm`, 'utf8'), /conmon/);
    process.kill(monitor, 'SIGKILL');
    const after = await cluster().until(
      () => cluster().running('web'),
      (running) => running.length === 2 && !ids(running).includes(victim?.id ?? ''),
      'a replacement',
    );
    assert.ok(ids(after).includes(other?.id ?? ''), 'the other one was kept');
    const said = (await cluster().tasks('web')).find((task) => task.id === victim?.id)?.status?.error ?? '';
    assert.match(said, /monitor/);
    await cluster().until(
      () => lives(victim?.status?.container?.pid ?? 0),
      (found) => !found,
      'its processes to end',
    );
  });

  it('a container that is frozen is stopped like any other', async () => {
    await cluster().createService('web', 1, ['--restart-delay', '0s', '--stop-grace-period', '1s']);
    const [victim] = await cluster().settled('web', 1);
    const pid = victim?.status?.container?.pid ?? 0;
    await freeze(pid);
    assert.ok(await isFrozen(pid));
    await cluster().remove('web');
    assert.equal(await lives(pid), false);
  });

  it('kill -9 of an agent loses no container; what ends meanwhile is reported by the next one', async () => {
    await cluster().createService('web', 8, ['--restart-delay', '0s']);
    const before = await cluster().settled('web', 8);
    const [first, second] = await onHost(cluster(), 'web', 'w1');
    assert.ok(first !== undefined && second !== undefined);
    await cluster().lab.killDaemon('w1');
    process.kill(second.status?.container?.pid ?? 0, 0); // lives
    process.kill(first.status?.container?.pid ?? 0, 'SIGKILL');
    await cluster().lab.start('w1');
    await cluster().until(
      async () => (await cluster().tasks('web')).find((task) => task.id === first.id)?.status?.state,
      (state) => state === TaskState.FAILED,
      'the exit to be reported',
    );
    const after = await cluster().settled('web', 8);
    const kept = ids(before).filter((id) => id !== first.id);
    for (const id of kept) assert.ok(ids(after).includes(id), 'every other container was kept');
  });

  it('a link that is cut for 3 s replaces nothing', async () => {
    await cluster().createService('web', 8);
    const before = await cluster().settled('web', 8);
    await cluster().lab.cut('w2');
    await new Promise((resolve) => setTimeout(resolve, 3_000)); // the length of the cut is what is tested
    await cluster().lab.heal();
    await cluster().until(
      async () => (await cluster().client('w2').node.getInfo({})).connected,
      (connected) => connected,
      'w2 to be connected',
    );
    await cluster().nodeState('w2', NodeState.READY);
    assert.deepEqual(ids(await cluster().settled('web', 8)), ids(before));
  });

  it('a host that is down for less than the swarm waits keeps its tasks, and lists say what is waited for', async () => {
    await cluster().must(['update', '--replace-after', '5m']);
    try {
      await cluster().createService('web', 8);
      const before = await cluster().settled('web', 8);
      await cluster().lab.cut('w2');
      await cluster().nodeState('w2', NodeState.DOWN);
      assert.match(await cluster().must(['node', 'ls']), / w2 +Down \(\d+ seconds ago\) /);
      const rows = await cluster().must(['service', 'ps', '--no-trunc', '--format', '{{.Node}} {{.Error}}', 'web']);
      assert.match(rows, /^w2 "node down for \d+s; replaced in 4m\d+s"$/m);
      await cluster().lab.heal();
      await cluster().nodeState('w2', NodeState.READY);
      assert.deepEqual(ids(await cluster().settled('web', 8)), ids(before));
    } finally {
      await cluster().must(['update', '--replace-after', '0s']);
    }
  });

  it('a host that loses power has its tasks replaced elsewhere within 8 s, and comes back empty', async () => {
    await cluster().createService('web', 8);
    await cluster().settled('web', 8);
    const lost = ids(await onHost(cluster(), 'web', 'w3'));
    assert.equal(lost.length, 2);
    const began = performance.now();
    await cluster().lab.kill('w3');
    const w3 = await cluster().nodeId('w3');
    await cluster().until(
      () => cluster().running('web'),
      (running) => running.filter((task) => task.nodeId !== w3).length === 8,
      'eight tasks on the other hosts',
      2 * REPLACED_MS,
    );
    const tookMs = performance.now() - began;
    assert.ok(tookMs < REPLACED_MS, `replaced after ${Math.round(tookMs)} ms`);
    await cluster().lab.start('w3');
    await cluster().nodeState('w3', NodeState.READY);
    await cluster().until(
      async () => (await cluster().client('w3').node.getInfo({})).containersRunning,
      (running) => running === 0,
      'w3 to run nothing of what was replaced',
    );
    await cluster().settled('web', 8);
  });

  it('the manager killed in a scale-up loses nothing that was acknowledged and makes no task twice', async () => {
    await cluster().createService('web', 2);
    await cluster().settled('web', 2);
    await cluster().must(['service', 'scale', '-d', 'web=24']);
    await cluster().lab.killDaemon(MANAGER);
    await cluster().lab.start(MANAGER);
    const tasks = await cluster().settled('web', 24, 3 * SOON_MS);
    assert.equal(new Set(tasks.map((task) => task.slot)).size, 24);
    const containers = await Promise.all(
      cluster().lab.hosts.map(async ({ name }) => (await cluster().client(name).node.getInfo({})).containersRunning),
    );
    assert.equal(
      containers.reduce((sum, count) => sum + count, 0),
      24,
    );
  });
});
