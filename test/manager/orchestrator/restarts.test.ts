/**
 * Goal: what fails again and again costs little, is seen, and is never given up for what is not its fault. Method: all
 * loops together on an in-memory store with obedient agents and virtual time.
 */
import assert from 'node:assert/strict';
import { HealthState, NodeState, type Task, TaskHealth, TaskState } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability, NodeSpec, RestartPolicy, UpdateConfig, UpdateOrder } from '#gen/swarm/v1/specs.ts';
import { isCrashLooping } from '#manager/orchestrator/index.ts';
import { type Fate, LoopCluster, type LoopClusterOptions } from '#test/manager/loops/loop-cluster.ts';
import { node, revision, type SpecOptions, service, spec } from '#test/manager/loops/objects.ts';

function clusterWith(nodes: number, options: SpecOptions, more: LoopClusterOptions = {}): LoopCluster {
  const cluster = new LoopCluster(more);
  for (let i = 1; i <= nodes; i++) cluster.create('node', node(`n${i}`));
  const declared = spec({ name: 'web', ...options });
  cluster.create('service', service('web', declared));
  cluster.create('revision', revision('web', 1, declared));
  return cluster;
}

const crash = (afterMs: number): Fate => ({ afterMs, state: TaskState.FAILED });
const starting = (): TaskHealth => TaskHealth.create({ state: HealthState.STARTING });

/** The task that is under way ends after so long, without having passed its checks. */
function neverHealthy(cluster: LoopCluster, afterMs: number): void {
  const task = cluster.wanted().find(({ status }) => (status?.state ?? 0) >= TaskState.ASSIGNED);
  assert.ok(task !== undefined);
  const container = { ...task.status?.container, containerId: task.id, startedAtMs: cluster.nowMs } as const;
  cluster.nowMs += afterMs;
  const health = { ...starting(), state: HealthState.UNHEALTHY };
  cluster.report(task, TaskState.FAILED, {
    error: 'unhealthy: health check failed',
    container: container as NonNullable<Task['status']>['container'],
    runningAtMs: 0,
    health,
  });
  cluster.settle();
}

describe('orchestrator: restarts', () => {
  it('a task that never passes its checks is in a crash loop, however long each attempt takes', () => {
    const cluster = clusterWith(1, { replicas: 1 });
    const delays: number[] = [];
    for (let round = 0; round < 8; round++) {
      cluster.settle();
      neverHealthy(cluster, 120_000);
      const next = cluster.wanted().at(-1);
      assert.ok(next !== undefined);
      delays.push(next.startNotBeforeMs - cluster.nowMs);
      assert.equal(isCrashLooping(next), round >= 5, `round ${round}: ${next.holdReason}`);
      cluster.nowMs = next.startNotBeforeMs;
      cluster.settle();
    }
    assert.deepEqual(delays.slice(0, 5), [5000, 5000, 5000, 5000, 5000]);
    assert.ok((delays[5] ?? 0) >= 8000 && (delays[7] ?? 0) >= 32_000, delays.join(' '));
  });

  it('one that worked for long before its checks failed is no crash loop', () => {
    const cluster = clusterWith(1, { replicas: 1 });
    for (let round = 0; round < 8; round++) {
      cluster.run(10_000);
      const [task] = cluster.running();
      assert.ok(task !== undefined);
      cluster.nowMs += 120_000;
      cluster.report(task, TaskState.FAILED, { error: 'unhealthy', health: starting() });
      cluster.settle();
      assert.equal(cluster.wanted()[0]?.startNotBeforeMs, cluster.nowMs + 5000);
    }
  });

  it('the last lines are kept for the newest failure of a slot alone', () => {
    const cluster = clusterWith(1, { replicas: 1 });
    for (let round = 1; round <= 4; round++) {
      cluster.run(20_000);
      const [task] = cluster.running();
      assert.ok(task !== undefined);
      cluster.report(task, TaskState.FAILED, { error: 'x', lastLog: [`round ${round}`] });
      cluster.settle();
    }
    const logs = cluster.tasks().flatMap(({ status }) => status?.lastLog ?? []);
    assert.deepEqual(logs, ['round 4']);
  });

  it('20 replicas that crash at once, for ten minutes: attempts grow rare, spread, and leave little behind', () => {
    const fate = () => crash(100);
    const cluster = clusterWith(4, { replicas: 20 }, { fate });
    let changes = -cluster.events.length;
    const starts: number[] = [];
    const seen = new Set<string>();
    const endMs = cluster.nowMs + 10 * 60_000;
    while (cluster.nowMs < endMs) {
      cluster.run(1000);
      for (const { id, status } of cluster.tasks())
        if (status?.state === TaskState.FAILED && !seen.has(id)) {
          seen.add(id);
          starts.push(Math.round(cluster.nowMs / 1000));
        }
    }
    changes += cluster.events.length;
    assert.ok(starts.length <= 20 * 14, `${starts.length} attempts`);
    assert.ok(changes <= starts.length * 20, `${changes} changes for ${starts.length} attempts`);
    assert.ok(cluster.tasks().length <= 20 * 7, `${cluster.tasks().length} tasks are kept`);
    assert.ok(cluster.wanted().every(isCrashLooping), 'and it is seen');
    const late = starts.filter((second) => second > Math.max(...starts) - 60);
    assert.ok(new Set(late).size > late.length / 3, `the last attempts are spread: ${late.join(' ')}`);
  });

  it('a node that is lost over and over uses up no attempts; a failure after that does', () => {
    const restart = RestartPolicy.create({ maxAttempts: 1, delayMs: 1000 });
    const cluster = clusterWith(2, { replicas: 1, restart });
    for (let round = 0; round < 5; round++) {
      cluster.run(10_000);
      const [task] = cluster.running();
      assert.ok(task !== undefined, `round ${round}`);
      assert.equal(task.restartAttempt, 0);
      cluster.setNodeState(task.nodeId, NodeState.DOWN);
      cluster.run(10_000);
      assert.equal(cluster.running().filter(({ nodeId }) => nodeId !== task.nodeId).length, 1);
      cluster.setNodeState(task.nodeId, NodeState.READY);
    }
    for (const attempt of [1, 2]) {
      cluster.run(30_000);
      const [task] = cluster.running();
      assert.ok(task !== undefined);
      cluster.fail(task);
      cluster.run(30_000);
      assert.equal(cluster.running().length, attempt === 1 ? 1 : 0);
    }
    assert.ok(cluster.tasks().some(({ finalReason }) => finalReason.includes('max attempts 1')));
  });

  it('attempts are counted within the window, and anew for each revision', () => {
    const restart = RestartPolicy.create({ maxAttempts: 2, windowMs: 60_000, delayMs: 1000 });
    const cluster = clusterWith(1, { replicas: 1, restart });
    for (let round = 0; round < 3; round++) {
      cluster.run(5000);
      const [task] = cluster.running();
      assert.ok(task !== undefined, `round ${round}`);
      cluster.fail(task);
      cluster.settle();
    }
    cluster.run(10_000);
    assert.equal(cluster.running().length, 0);
    const final = cluster.tasks().find(({ finalReason }) => finalReason !== '');
    assert.match(final?.finalReason ?? '', /restarted 2 times within 60000 ms/);
    const next = spec({ name: 'web', replicas: 1, restart, image: 'other' });
    cluster.create('revision', revision('web', 2, next));
    cluster.edit('service', 'web', { spec: next, revision: 2 });
    cluster.run(30_000);
    assert.equal(cluster.running()[0]?.restartAttempt, 0);
  });

  it('a new task that is not ready does not take the old one’s place, when its node is drained with start-first', () => {
    let hasChecks = false;
    const update = UpdateConfig.create({ order: UpdateOrder.START_FIRST });
    const cluster = clusterWith(2, { replicas: 1, update }, { isReady: () => (hasChecks ? false : undefined) });
    cluster.run(10_000);
    const [old] = cluster.running();
    assert.ok(old !== undefined);
    hasChecks = true;
    const drained = NodeSpec.create({ ...node(old.nodeId).spec, availability: NodeAvailability.DRAIN });
    cluster.edit('node', old.nodeId, { spec: drained });
    cluster.run(60_000);
    const fresh = cluster.running().find(({ id }) => id !== old.id);
    assert.ok(fresh !== undefined);
    assert.ok(
      cluster.running().some(({ id }) => id === old.id),
      'both run',
    );
    cluster.setReady(fresh, true);
    cluster.run(10_000);
    assert.deepEqual(
      cluster.running().map(({ id }) => id),
      [fresh.id],
    );
  });
});
