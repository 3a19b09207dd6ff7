/**
 * Goal: nodes are found dead in time and no healthy one is, whatever becomes of the leader; a task that stops without
 * managers never runs beside its replacement. Method: real daemons on five hosts; links are cut, the leader is stopped and
 * killed, and who runs is read from the hosts' processes.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { NodeState, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { useManagers } from '#test/e2e/support/managers.ts';

const LIMIT = '10s';
/** Limit, grace period of a second and what a host may be late by, with clocks that go apart. */
const FENCE_MS = 29_000;
const STOPPED_MS = 30_000;
const FAILOVER_MS = 10_000;
const LATE_MS = 120_000;

const ids = (tasks: readonly Task[]): readonly string[] => tasks.map(({ id }) => id).toSorted();

async function lives(task: Task | undefined): Promise<boolean> {
  const pid = task?.status?.container?.pid ?? 0;
  return /^State:\s+[^ZX]/m.test(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''));
}

describe('e2e: failure detection', function () {
  this.timeout(300_000);
  const managers = useManagers(this, { managers: 3, workers: 2 });
  const cluster = () => managers().cluster;

  afterEach(async () => {
    await cluster().lab.heal();
    await cluster().restore();
  });

  it('a task that stops without managers has stopped before its replacement starts', async () => {
    const leader = await managers().formed();
    cluster().entrance = leader;
    for (const host of managers().names) await cluster().must(['node', 'update', '--availability', 'drain', host]);
    await cluster().createService('one', 1, ['--stop-after-disconnect', LIMIT, '--stop-grace-period', '1s']);
    const [first] = await cluster().settled('one', 1);
    const names = [...(await cluster().nodes())].map(([name, { id }]) => [name, id] as const);
    const host = names.find(([, id]) => id === first?.nodeId)?.[0] ?? '';
    const cutMs = performance.now();
    for (const other of managers().names) await cluster().lab.cut(host, other);
    await cluster().until(
      () => lives(first),
      (alive) => !alive,
      'the cut-off host to stop it',
      STOPPED_MS,
    );
    assert.ok(performance.now() - cutMs < FENCE_MS - 10_000);
    const [second] = await cluster().until(
      async () => (await cluster().running('one')).filter(({ id }) => id !== first?.id),
      (running) => running.length === 1,
      'its replacement',
      LATE_MS,
    );
    const tookMs = performance.now() - cutMs;
    assert.ok(tookMs >= FENCE_MS - 1000, `replaced after ${Math.round(tookMs)} ms`);
    assert.notEqual(second?.nodeId, first?.nodeId);
    await cluster().lab.heal();
    await cluster().nodeState(host, NodeState.READY, LATE_MS);
    await cluster().until(
      async () => (await cluster().tasks('one')).find(({ id }) => id === first?.id)?.status,
      (status) => status === undefined || status.state === TaskState.SHUTDOWN,
      'the old one to be known as stopped',
    );
    assert.deepEqual(ids(await cluster().running('one')), ids(second === undefined ? [] : [second]));
    for (const name of managers().names) await cluster().must(['node', 'update', '--availability', 'active', name]);
  });

  it('a leader that is stopped for 30 s takes no node with it, and finds none dead when it goes on', async () => {
    const leader = await managers().formed();
    const others = managers().others(leader);
    cluster().entrance = others[0] ?? '';
    await cluster().createService('web', 6);
    const before = await cluster().settled('web', 6);
    await cluster().host(leader).daemon.pause();
    await pause(30_000); // the length of the stop is what is tested
    const down = [...(await cluster().nodes()).values()].filter(({ status }) => status?.state === NodeState.DOWN);
    assert.deepEqual(
      down.map(({ description }) => description?.hostname),
      [leader],
      'its own agent was stopped with it',
    );
    const elsewhere = before.filter(({ nodeId }) => nodeId !== down[0]?.id);
    await cluster().host(leader).daemon.continue();
    await cluster().nodeState(leader, NodeState.READY, LATE_MS);
    await managers().formed();
    const states = [...(await cluster().nodes()).values()].map(({ status }) => status?.state);
    assert.deepEqual(new Set(states), new Set([NodeState.READY]));
    const kept = ids(await cluster().tasks('web'));
    for (const { id } of elsewhere) assert.ok(kept.includes(id), 'what ran elsewhere was not touched');
  });

  it('when the leader is killed, all nodes find the next one, and no task is replaced', async () => {
    const leader = await managers().formed();
    const others = managers().others(leader);
    cluster().entrance = others[0] ?? '';
    await cluster().must(['node', 'update', '--availability', 'drain', leader]);
    await cluster().createService('web', 6);
    const before = await cluster().settled('web', 6);
    const killedMs = performance.now();
    await cluster().lab.killDaemon(leader);
    await managers().leader(others);
    const electedMs = performance.now();
    for (const host of [...others, 'w1', 'w2']) await cluster().nodeState(host, NodeState.READY, FAILOVER_MS);
    const readyMs = performance.now();
    console.log(
      `      a leader after ${Math.round(electedMs - killedMs)} ms, all nodes READY ${Math.round(readyMs - electedMs)} ms later`,
    );
    await pause(6000); // longer than a node may be silent
    assert.deepEqual(ids(await cluster().settled('web', 6)), ids(before));
    await cluster().lab.start(leader);
    await managers().formed();
    await cluster().must(['node', 'update', '--availability', 'active', leader]);
  });
});
