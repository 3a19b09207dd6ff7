/**
 * Goal: a replicated service has as many running tasks as it says, whatever fails. Method: all loops together on an
 * in-memory store with obedient agents and virtual time; each test sets one thing off and looks at the tasks.
 */
import assert from 'node:assert/strict';
import { NodeState, TaskState } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability, NodeSpec, RestartCondition, UpdateConfig, UpdateOrder } from '#gen/swarm/v1/specs.ts';
import { LoopCluster, type LoopClusterOptions } from '#test/manager/loops/loop-cluster.ts';
import { node, revision, type SpecOptions, service, spec, T0 } from '#test/manager/loops/objects.ts';

function clusterWith(nodes: number, options: SpecOptions, more: LoopClusterOptions = {}): LoopCluster {
  const cluster = new LoopCluster(more);
  for (let i = 1; i <= nodes; i++) cluster.create('node', node(`n${i}`));
  declare(cluster, 'web', options);
  return cluster;
}

function declare(cluster: LoopCluster, id: string, options: SpecOptions): void {
  const declared = spec({ name: id, ...options });
  cluster.create('service', service(id, declared));
  cluster.create('revision', revision(id, 1, declared));
}

function scale(cluster: LoopCluster, replicas: number): void {
  const current = cluster.store.get('service', 'web');
  const mode = { kind: 'replicated', value: { replicas } } as const;
  cluster.edit('service', 'web', { spec: { ...spec(), ...current?.spec, mode } });
}

function perNode(cluster: LoopCluster): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const task of cluster.running()) counts[task.nodeId] = (counts[task.nodeId] ?? 0) + 1;
  return counts;
}

function slots(cluster: LoopCluster): readonly number[] {
  return cluster
    .wanted('web')
    .map((task) => task.slot)
    .sort((a, b) => a - b);
}

function restart(policy: { condition?: RestartCondition; delayMs?: number; maxAttempts?: number; windowMs?: number }) {
  return {
    condition: policy.condition ?? RestartCondition.ANY,
    delayMs: policy.delayMs,
    maxAttempts: policy.maxAttempts ?? 0,
    windowMs: policy.windowMs ?? 0,
  };
}

describe('orchestrator: replicated services', () => {
  it('12 replicas spread 3/3/3/3 over 4 nodes, in slots 1 to 12', () => {
    const cluster = clusterWith(4, { replicas: 12 });
    cluster.run(10_000);
    assert.deepEqual(perNode(cluster), { n1: 3, n2: 3, n3: 3, n4: 3 });
    assert.deepEqual(slots(cluster), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });

  it('scaling down takes from the fullest nodes and leaves nothing behind; numbers are used again', () => {
    const cluster = clusterWith(3, { replicas: 9 });
    cluster.run(10_000);
    scale(cluster, 3);
    cluster.run(10_000);
    assert.deepEqual(perNode(cluster), { n1: 1, n2: 1, n3: 1 });
    assert.equal(cluster.tasks().length, 3);
    scale(cluster, 5);
    cluster.run(10_000);
    assert.equal(cluster.running().length, 5);
    assert.ok(Math.max(...slots(cluster)) <= 9);
    assert.equal(new Set(slots(cluster)).size, 5);
  });

  it('the lowest free numbers are used, also after ups and downs', () => {
    const cluster = clusterWith(2, { replicas: 3 });
    for (const replicas of [3, 5, 6, 2, 6]) {
      scale(cluster, replicas);
      cluster.run(10_000);
    }
    assert.deepEqual(slots(cluster), [1, 2, 3, 4, 5, 6]);
  });

  it('scaling down gives up tasks that do not run first', () => {
    const cluster = clusterWith(2, { replicas: 3, cpus: 4 });
    cluster.edit('node', 'n2', { spec: NodeSpec.create({ ...node('n2').spec, availability: NodeAvailability.PAUSE }) });
    cluster.run(10_000);
    assert.equal(cluster.running().length, 2);
    const before = cluster.running().map(({ id }) => id);
    scale(cluster, 2);
    cluster.run(10_000);
    assert.deepEqual(
      cluster
        .wanted()
        .map(({ id }) => id)
        .sort(),
      before.sort(),
    );
  });

  it('a slot that is filled again waits for the task that is still stopping there', () => {
    const cluster = clusterWith(1, { replicas: 1 });
    cluster.run(10_000);
    scale(cluster, 0);
    cluster.settle();
    scale(cluster, 1);
    cluster.settle();
    const [fresh] = cluster.wanted();
    assert.equal(fresh?.slot, 1);
    assert.equal(fresh?.desiredState, TaskState.READY);
    assert.match(fresh?.holdReason ?? '', /^waiting for task \w+ to stop$/);
    cluster.run(10_000);
    assert.equal(cluster.running().length, 1);
    assert.equal(cluster.running()[0]?.holdReason, '');
  });

  it('a removed service goes with its revisions once its tasks are gone', () => {
    const cluster = clusterWith(2, { replicas: 4 });
    cluster.run(10_000);
    cluster.edit('service', 'web', { pendingDelete: true });
    cluster.settle();
    assert.equal(cluster.store.count('service'), 1);
    assert.ok(cluster.tasks().every((task) => task.desiredState === TaskState.REMOVE));
    cluster.run(10_000);
    assert.equal(cluster.store.count('task') + cluster.store.count('service') + cluster.store.count('revision'), 0);
  });

  it('a removed service does not wait for a node that is down', () => {
    const cluster = clusterWith(2, { replicas: 4 });
    cluster.run(10_000);
    cluster.setNodeState('n2', NodeState.DOWN);
    cluster.edit('service', 'web', { pendingDelete: true });
    cluster.run(10_000);
    assert.equal(cluster.store.count('service') + cluster.store.count('task'), 0);
  });

  it('a failed task is replaced in its slot after the restart delay, prepared meanwhile', () => {
    const cluster = clusterWith(1, { replicas: 1 });
    cluster.run(10_000);
    const [first] = cluster.running();
    assert.ok(first !== undefined);
    cluster.fail(first, 3);
    cluster.settle();
    const [next] = cluster.wanted();
    assert.equal(next?.slot, first.slot);
    assert.equal(next?.replaces, first.id);
    assert.equal(next?.desiredState, TaskState.READY);
    assert.equal(next?.startNotBeforeMs, cluster.nowMs + 5000);
    assert.match(next?.holdReason ?? '', /restarting: task: non-zero exit \(3\)/);
    cluster.run(4999);
    assert.equal(cluster.running().length, 0);
    assert.equal(cluster.wanted()[0]?.status?.state, TaskState.READY);
    cluster.run(1);
    cluster.run(1000);
    assert.equal(cluster.running()[0]?.id, next?.id);
    assert.equal(cluster.store.get('task', first.id)?.desiredState, TaskState.SHUTDOWN);
  });

  it('quick failures in a row grow the delay after the first five, up to five minutes; a long run resets it', () => {
    let crash = true;
    const fate = () => (crash ? { afterMs: 100, state: TaskState.FAILED } : undefined);
    const cluster = clusterWith(1, { replicas: 1 }, { fate });
    const delays: number[] = [];
    for (let round = 0; round < 14; round++) {
      cluster.run(1000);
      const [next] = cluster.wanted();
      assert.ok(next !== undefined);
      const delayMs = next.startNotBeforeMs - next.createdAtMs;
      delays.push(delayMs);
      if (round === 8) assert.match(next.holdReason, /^crash loop: restart 9: .*exit \(1\)/);
      cluster.run(delayMs);
    }
    assert.deepEqual(delays.slice(0, 5), [5000, 5000, 5000, 5000, 5000]);
    // Chance takes up to a fifth off those that have grown.
    const grown = [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000, 300_000];
    for (const [round, fullMs] of grown.entries()) {
      const delayMs = delays[5 + round] ?? 0;
      assert.ok(delayMs > fullMs * 0.8 && delayMs <= fullMs, `restart ${6 + round} after ${delayMs} ms`);
    }
    crash = false;
    cluster.run(400_000);
    const [running] = cluster.running();
    assert.ok(running !== undefined);
    cluster.nowMs += 60_000;
    cluster.fail(running);
    cluster.settle();
    assert.equal(cluster.wanted()[0]?.startNotBeforeMs, cluster.nowMs + 5000);
  });

  it('what fails in its preparation backs off too: from the second failure on nothing is prepared ahead of its time', () => {
    const cluster = clusterWith(1, { replicas: 1 });
    cluster.settle();
    let attempts = 0;
    for (let slice = 0; slice < 600; slice++) {
      const [task] = cluster.wanted();
      if (task !== undefined && task.nodeId !== '' && (task.status?.state ?? 0) < TaskState.READY) {
        attempts++;
        cluster.report(task, TaskState.REJECTED, { error: 'no such image' });
        cluster.settle();
      }
      cluster.nowMs += 1000;
      cluster.settle();
    }
    // 5 s for the first five, then 10, 20, 40, 80, 160 and 300 s: a dozen attempts in ten minutes, not hundreds.
    assert.ok(attempts >= 8 && attempts <= 14, `${attempts} attempts in ten minutes`);
  });

  it('restart condition none: what ended is left, with the reason', () => {
    const cluster = clusterWith(1, { replicas: 2, restart: restart({ condition: RestartCondition.NONE }) });
    cluster.run(10_000);
    const [first] = cluster.running();
    assert.ok(first !== undefined);
    cluster.fail(first);
    cluster.run(60_000);
    assert.equal(cluster.running().length, 1);
    assert.equal(cluster.store.get('task', first.id)?.finalReason, 'restart condition is none');
    assert.equal(cluster.tasks().length, 2);
  });

  it('restart condition on-failure: a completed task is left, a failed one restarted', () => {
    const cluster = clusterWith(1, { replicas: 2, restart: restart({ condition: RestartCondition.ON_FAILURE }) });
    cluster.run(10_000);
    const [first, second] = cluster.running();
    assert.ok(first !== undefined && second !== undefined);
    cluster.report(first, TaskState.COMPLETE);
    cluster.fail(second);
    cluster.run(60_000);
    assert.deepEqual(
      cluster.running().map((task) => task.slot),
      [second.slot],
    );
    assert.match(cluster.store.get('task', first.id)?.finalReason ?? '', /completed/);
  });

  it('max attempts: that many restarts, then none; the slot stays done after a change of leader', () => {
    const fate = () => ({ afterMs: 100, state: TaskState.FAILED });
    const cluster = clusterWith(1, { replicas: 1, restart: restart({ maxAttempts: 3, delayMs: 100 }) }, { fate });
    cluster.run(60_000);
    assert.equal(cluster.tasks().length, 4);
    assert.equal(cluster.wanted().length, 0);
    const last = cluster.tasks().find((task) => task.finalReason !== '');
    assert.match(last?.finalReason ?? '', /restarted 3 times, the limit of the service/);
    cluster.changeLeader();
    cluster.run(600_000);
    assert.equal(cluster.wanted().length, 0);
  });

  it('max attempts within a window: spaced failures go on for ever', () => {
    const fate = () => ({ afterMs: 6000, state: TaskState.FAILED });
    const policy = restart({ maxAttempts: 2, delayMs: 1000, windowMs: 5000 });
    const cluster = clusterWith(1, { replicas: 1, restart: policy }, { fate });
    cluster.run(60_000);
    assert.equal(cluster.wanted().length, 1);
    const crowded = clusterWith(1, { replicas: 1, restart: { ...policy, windowMs: 60_000 } }, { fate });
    crowded.run(60_000);
    assert.equal(crowded.wanted().length, 0);
  });

  it('a node that goes down loses its tasks at once, without delay and without an attempt', () => {
    const cluster = clusterWith(3, { replicas: 6, restart: restart({ maxAttempts: 1 }) });
    cluster.run(10_000);
    cluster.setNodeState('n3', NodeState.DOWN);
    const at = cluster.nowMs;
    cluster.run(1);
    assert.deepEqual(perNode(cluster), { n1: 3, n2: 3 });
    assert.ok(cluster.nowMs - at <= 1);
    assert.ok(cluster.wanted().every((task) => task.restartAttempt === 0));
    const left = cluster.tasks().filter((task) => task.nodeId === 'n3');
    assert.ok(left.length === 2 && left.every((task) => task.desiredState === TaskState.SHUTDOWN));
    assert.equal(cluster.containers.get('n3')?.size, 2);
    cluster.setNodeState('n3', NodeState.READY);
    cluster.run(10_000);
    assert.equal(cluster.containers.get('n3')?.size, 0);
    assert.equal(cluster.running().length, 6);
  });

  it('a removed node loses its tasks, and they leave the store', () => {
    const cluster = clusterWith(2, { replicas: 4 });
    cluster.run(10_000);
    cluster.remove('node', 'n2');
    cluster.run(10_000);
    assert.deepEqual(perNode(cluster), { n1: 4 });
    cluster.edit('service', 'web', { pendingDelete: true });
    cluster.run(10_000);
    assert.equal(cluster.store.count('task'), 0);
  });

  it('a reboot is no failure: what ended as its node came back is replaced at once', () => {
    const cluster = clusterWith(1, { replicas: 1, restart: restart({ maxAttempts: 1 }) });
    cluster.run(10_000);
    cluster.nowMs += 1000;
    cluster.setNodeState('n1', NodeState.UNKNOWN);
    cluster.nowMs += 1000;
    cluster.setNodeState('n1', NodeState.READY);
    const [task] = cluster.running();
    assert.ok(task !== undefined);
    cluster.fail(task, 255);
    cluster.run(1);
    assert.equal(cluster.running()[0]?.restartAttempt, 0);
    assert.notEqual(cluster.running()[0]?.id, task.id);
  });

  it('draining a node moves its tasks: the old one stops, then the new one starts', () => {
    const cluster = clusterWith(2, { replicas: 4 });
    cluster.run(10_000);
    cluster.edit('node', 'n1', { spec: NodeSpec.create({ ...node('n1').spec, availability: NodeAvailability.DRAIN }) });
    cluster.settle();
    assert.ok(cluster.wanted().filter((task) => task.holdReason.startsWith('waiting for task')).length === 2);
    cluster.run(10_000);
    assert.deepEqual(perNode(cluster), { n2: 4 });
    assert.equal(cluster.containers.get('n1')?.size, 0);
  });

  it('draining honours start-first: the replacement runs before the old one stops', () => {
    const cluster = clusterWith(2, {
      replicas: 4,
      update: UpdateConfig.create({ order: UpdateOrder.START_FIRST }),
    });
    cluster.run(10_000);
    cluster.edit('node', 'n1', { spec: NodeSpec.create({ ...node('n1').spec, availability: NodeAvailability.DRAIN }) });
    let fewest = 99;
    for (let round = 0; round < 50; round++) {
      cluster.settle();
      cluster.stepAgents();
      fewest = Math.min(fewest, new Set(cluster.running().map((task) => task.slot)).size);
    }
    assert.equal(fewest, 4);
    assert.deepEqual(perNode(cluster), { n2: 4 });
    assert.equal(cluster.containers.get('n1')?.size, 0);
  });

  it('draining with start-first gives up the old task too when the attempts of the new one are used up', () => {
    const update = UpdateConfig.create({ order: UpdateOrder.START_FIRST });
    const policy = restart({ maxAttempts: 2, delayMs: 100 });
    const cluster = clusterWith(1, { replicas: 1, update, restart: policy });
    cluster.run(10_000);
    cluster.create('node', node('n2'));
    cluster.edit('node', 'n1', { spec: NodeSpec.create({ ...node('n1').spec, availability: NodeAvailability.DRAIN }) });
    for (let round = 0; round < 10; round++) {
      cluster.settle();
      const task = cluster.wanted().find((one) => one.nodeId === 'n2');
      if (task !== undefined) cluster.report(task, TaskState.REJECTED, { error: 'no such image' });
      cluster.nowMs += 200;
    }
    assert.equal(cluster.wanted().length, 0);
    const left = cluster.tasks().find((task) => task.nodeId === 'n1');
    assert.match(left?.finalReason ?? '', /limit of the service/);
  });

  it('a task that cannot be stopped holds its replacement for the grace period and a minute, no longer', () => {
    const cluster = clusterWith(2, { replicas: 1 });
    cluster.run(10_000);
    const [old] = cluster.running();
    assert.ok(old !== undefined);
    cluster.edit('task', old.id, { evictReason: 'test' });
    cluster.settle();
    const agents = cluster.stepAgents.bind(cluster);
    // The agent takes every step but the one that stops the old task.
    cluster.stepAgents = () => 0;
    cluster.run(69_000);
    assert.equal(cluster.wanted()[0]?.desiredState, TaskState.READY);
    cluster.run(2000);
    assert.equal(cluster.wanted()[0]?.desiredState, TaskState.RUNNING);
    cluster.stepAgents = agents;
    cluster.run(1000);
    assert.equal(cluster.running().length, 1);
  });

  it('two wanted tasks in one slot (a write whose outcome was unknown) become one', () => {
    const cluster = clusterWith(2, { replicas: 2 });
    cluster.run(10_000);
    const [task] = cluster.running();
    assert.ok(task !== undefined);
    cluster.create('task', {
      ...task,
      id: 'twin',
      version: 0,
      nodeId: '',
      desiredState: TaskState.RUNNING,
      status: undefined,
    });
    cluster.run(10_000);
    assert.equal(cluster.running().length, 2);
    assert.deepEqual(slots(cluster), [1, 2]);
  });

  it('a node that orders its tasks to stop (a host going down) is no failure either', () => {
    const cluster = clusterWith(2, { replicas: 2, restart: restart({ maxAttempts: 1 }) });
    cluster.run(10_000);
    const task = cluster.running().find((one) => one.nodeId === 'n2');
    assert.ok(task !== undefined);
    cluster.report(task, TaskState.SHUTDOWN);
    cluster.setNodeState('n2', NodeState.DISCONNECTED);
    cluster.run(1);
    assert.deepEqual(perNode(cluster), { n1: 2 });
    assert.ok(cluster.wanted().every((one) => one.restartAttempt === 0));
    assert.equal(T0 < cluster.nowMs, true);
  });
});
