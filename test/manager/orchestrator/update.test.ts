/**
 * Goal: updates follow their rules, in order and speed, and end as they should. Method: all loops with agents under
 * virtual time; images whose name begins with "bad" end soon after they start.
 */
import assert from 'node:assert/strict';
import { NodeState, RevisionOutcome, type Task, TaskState, UpdateState } from '#gen/swarm/v1/objects.ts';
import { FailureAction, NodeAvailability, NodeSpec, UpdateConfig, UpdateOrder } from '#gen/swarm/v1/specs.ts';
import { LoopCluster } from '#test/manager/loops/loop-cluster.ts';
import { node, revision, type SpecOptions, service, spec } from '#test/manager/loops/objects.ts';

function start(options: SpecOptions, nodes = 3): LoopCluster {
  const cluster = new LoopCluster({
    fate: (task, of) =>
      imageOf(of, task).startsWith('bad') ? { afterMs: 500, state: TaskState.FAILED, exitCode: 7 } : undefined,
  });
  for (let i = 1; i <= nodes; i++) cluster.create('node', node(`n${i}`, { labels: { zone: `z${i}` } }));
  const declared = spec({ image: 'good:1', ...options });
  cluster.create('service', service('web', declared));
  cluster.create('revision', revision('web', 1, declared));
  cluster.run(60_000);
  return cluster;
}

function imageOf(cluster: LoopCluster, task: Task): string {
  return cluster.store.revision(task.serviceId, task.revision)?.spec?.task?.container?.image ?? '';
}

/** As the API does it. */
function updateTo(cluster: LoopCluster, options: SpecOptions): void {
  const current = cluster.store.get('service', 'web');
  assert.ok(current !== undefined);
  const declared = spec(options);
  const number = current.revision + 1;
  cluster.commit(
    {
      kind: 'update',
      table: 'service',
      object: { ...current, spec: declared, revision: number, updateStatus: undefined },
    },
    { kind: 'create', table: 'revision', object: revision('web', number, declared) },
  );
}

function config(fields: Partial<UpdateConfig>): UpdateConfig {
  return UpdateConfig.create(fields);
}

/** Longer than a bad image lives: each is found out before the next slot is moved. */
const careful: Partial<UpdateConfig> = { delayMs: 1000 };

function status(cluster: LoopCluster) {
  return cluster.store.get('service', 'web')?.updateStatus;
}

function images(cluster: LoopCluster): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const task of cluster.running()) counts[imageOf(cluster, task)] = (counts[imageOf(cluster, task)] ?? 0) + 1;
  return counts;
}

function outcome(cluster: LoopCluster, number: number): RevisionOutcome | undefined {
  return cluster.store.revision('web', number)?.outcome;
}

/** Follows the cluster step by step for a while, looking at it after each. */
function follow(cluster: LoopCluster, forMs: number, look: () => void): void {
  const untilMs = cluster.nowMs + forMs;
  while (cluster.nowMs < untilMs) {
    while (cluster.settle() + cluster.stepAgents() > 0) look();
    cluster.nowMs += 100;
  }
}

describe('orchestrator: updates', () => {
  it('stop-first, one at a time: never more than one slot without a running task', () => {
    const cluster = start({ replicas: 4 });
    updateTo(cluster, { image: 'good:2', replicas: 4 });
    let fewest = 4;
    let most = 4;
    follow(cluster, 20_000, () => {
      fewest = Math.min(fewest, cluster.running().length);
      most = Math.max(most, cluster.running().length);
    });
    assert.deepEqual([fewest, most], [3, 4]);
    assert.deepEqual(images(cluster), { 'good:2': 4 });
    assert.equal(status(cluster)?.state, UpdateState.COMPLETED);
    assert.equal(status(cluster)?.message, 'update completed');
    assert.equal(outcome(cluster, 2), RevisionOutcome.HEALTHY);
  });

  it('start-first: never fewer tasks than declared, never more than one besides', () => {
    const update = config({ order: UpdateOrder.START_FIRST });
    const cluster = start({ replicas: 4 });
    updateTo(cluster, { image: 'good:2', replicas: 4, update });
    let fewest = 4;
    let most = 4;
    follow(cluster, 20_000, () => {
      const running = [...cluster.containers.values()].reduce((sum, ids) => sum + ids.size, 0);
      fewest = Math.min(fewest, new Set(cluster.running().map((task) => task.slot)).size);
      most = Math.max(most, running);
    });
    assert.deepEqual([fewest, most], [4, 5]);
    assert.deepEqual(images(cluster), { 'good:2': 4 });
  });

  it('parallelism and delay set the pace', () => {
    const cluster = start({ replicas: 6 });
    updateTo(cluster, { image: 'good:2', replicas: 6, update: config({ parallelism: 2, delayMs: 10_000 }) });
    cluster.run(9000);
    assert.equal(images(cluster)['good:2'], 2);
    cluster.run(10_000);
    assert.equal(images(cluster)['good:2'], 4);
    cluster.run(4000);
    assert.equal(images(cluster)['good:2'], 6);
    assert.equal(status(cluster)?.state, UpdateState.UPDATING);
    cluster.run(10_000);
    assert.equal(status(cluster)?.state, UpdateState.COMPLETED);
  });

  it('parallelism 0 moves all at once', () => {
    const cluster = start({ replicas: 5 });
    updateTo(cluster, { image: 'good:2', replicas: 5, update: config({ parallelism: 0 }) });
    cluster.settle();
    assert.equal(cluster.wanted().filter((task) => task.revision === 2).length, 5);
    cluster.run(20_000);
    assert.deepEqual(images(cluster), { 'good:2': 5 });
  });

  it('a failure pauses by default, naming the task and the reason; the rest stays as it was', () => {
    const cluster = start({ replicas: 4 });
    updateTo(cluster, { image: 'bad:2', replicas: 4, update: config(careful) });
    cluster.run(120_000);
    assert.equal(status(cluster)?.state, UpdateState.PAUSED);
    const failed = cluster
      .tasks()
      .find((task) => task.rollout?.failedTask !== undefined && task.rollout.failedTask !== '');
    assert.equal(
      status(cluster)?.message,
      `update paused due to failure or early termination of task ${failed?.rollout?.failedTask}: task: non-zero exit (7)`,
    );
    assert.equal(images(cluster)['good:1'], 3);
    assert.equal(outcome(cluster, 2), RevisionOutcome.FAILED);
    assert.equal(outcome(cluster, 1), RevisionOutcome.HEALTHY);
  });

  it('while paused, a healthy old task that dies or loses its node comes back as it was', () => {
    const cluster = start({ replicas: 4 });
    updateTo(cluster, { image: 'bad:2', replicas: 4, update: config(careful) });
    cluster.run(60_000);
    const old = cluster.running().filter((task) => task.revision === 1);
    assert.equal(old.length, 3);
    cluster.fail(old[0] as Task);
    cluster.setNodeState(old[1]?.nodeId ?? '', NodeState.DOWN);
    cluster.run(20_000);
    assert.equal(images(cluster)['good:1'], 3);
  });

  it('a new update takes over from a paused one', () => {
    const cluster = start({ replicas: 4 });
    updateTo(cluster, { image: 'bad:2', replicas: 4, update: config(careful) });
    cluster.run(60_000);
    updateTo(cluster, { image: 'good:3', replicas: 4 });
    cluster.run(120_000);
    assert.deepEqual(images(cluster), { 'good:3': 4 });
    assert.equal(status(cluster)?.state, UpdateState.COMPLETED);
    assert.equal(status(cluster)?.revision, 3);
  });

  it('a new update in the middle of one takes over, and no slot is moved twice without need', () => {
    const cluster = start({ replicas: 6 });
    updateTo(cluster, { image: 'good:2', replicas: 6, update: config({ delayMs: 5000 }) });
    cluster.run(7000);
    assert.equal(images(cluster)['good:2'], 2);
    updateTo(cluster, { image: 'good:3', replicas: 6, update: config({ parallelism: 0 }) });
    cluster.run(30_000);
    assert.deepEqual(images(cluster), { 'good:3': 6 });
    assert.equal(cluster.tasks().filter((task) => task.revision === 3).length, 6);
  });

  it('rollback: back to the last healthy revision, as a revision of its own', () => {
    const cluster = start({ replicas: 4 });
    const update = config({ ...careful, failureAction: FailureAction.ROLLBACK });
    updateTo(cluster, { image: 'good:2', replicas: 4 });
    cluster.run(60_000);
    updateTo(cluster, { image: 'bad:3', replicas: 4, update });
    cluster.run(120_000);
    assert.deepEqual(images(cluster), { 'good:2': 4 });
    assert.equal(status(cluster)?.state, UpdateState.ROLLBACK_COMPLETED);
    assert.equal(cluster.store.get('service', 'web')?.revision, 4);
    assert.equal(cluster.store.revision('web', 4)?.spec?.task?.container?.image, 'good:2');
    assert.deepEqual(
      [3, 4].map((number) => outcome(cluster, number)),
      [RevisionOutcome.FAILED, RevisionOutcome.HEALTHY],
    );
    // The three that were never moved kept running all the while.
    assert.equal(cluster.running().filter((task) => task.revision === 2).length, 3);
  });

  it('rollback passes over revisions that failed, and says when there is none', () => {
    const cluster = start({ replicas: 2 });
    updateTo(cluster, { image: 'bad:2', replicas: 2, update: config(careful) });
    cluster.run(60_000);
    updateTo(cluster, {
      image: 'bad:3',
      replicas: 2,
      update: config({ ...careful, failureAction: FailureAction.ROLLBACK }),
    });
    cluster.run(120_000);
    assert.deepEqual(images(cluster), { 'good:1': 2 });
    assert.match(cluster.store.revision('web', 4)?.spec?.task?.container?.image ?? '', /good:1/);

    const first = start({ image: 'good:1', replicas: 2 });
    const revision = first.store.revision('web', 1);
    assert.ok(revision);
    first.commit({ kind: 'remove', table: 'revision', object: revision });
    updateTo(first, {
      image: 'bad:2',
      replicas: 2,
      update: config({ ...careful, failureAction: FailureAction.ROLLBACK }),
    });
    first.run(60_000);
    assert.equal(status(first)?.state, UpdateState.PAUSED);
    assert.match(status(first)?.message ?? '', /there is no earlier revision to roll back to/);
  });

  it('a rollback that fails is paused, whatever its action', () => {
    const cluster = start({ replicas: 2 });
    const both = { ...careful, failureAction: FailureAction.ROLLBACK };
    const current = cluster.store.revision('web', 1);
    updateTo(cluster, { image: 'bad:2', replicas: 2, update: config(both), rollback: config(both) });
    cluster.run(100);
    // What was healthy is not any more.
    const broken = spec({ image: 'bad:1', replicas: 2 });
    cluster.edit('revision', current?.id ?? '', { spec: broken });
    cluster.run(120_000);
    assert.equal(status(cluster)?.state, UpdateState.ROLLBACK_PAUSED);
    assert.match(status(cluster)?.message ?? '', /^rollback paused due to failure or early termination of task/);
  });

  it('continue: goes on, and the revision is marked as failed', () => {
    const cluster = start({ replicas: 3 });
    updateTo(cluster, { image: 'bad:2', replicas: 3, update: config({ failureAction: FailureAction.CONTINUE }) });
    cluster.run(120_000);
    assert.equal(status(cluster)?.state, UpdateState.COMPLETED);
    assert.ok(cluster.wanted().every((task) => task.revision === 2));
    assert.equal(outcome(cluster, 2), RevisionOutcome.FAILED);
  });

  it('failures up to the ratio are tolerated', () => {
    const cluster = start({ replicas: 4 });
    updateTo(cluster, { image: 'good:2', replicas: 4, update: config({ maxFailureRatio: 0.25, delayMs: 3000 }) });
    cluster.run(4000);
    const updated = cluster.running().find((task) => task.revision === 2);
    assert.ok(updated !== undefined);
    cluster.fail(updated);
    cluster.run(60_000);
    assert.equal(status(cluster)?.state, UpdateState.COMPLETED);
    assert.equal(outcome(cluster, 2), RevisionOutcome.HEALTHY);
  });

  it('a failure after the monitoring time is none of the update’s', () => {
    const cluster = start({ replicas: 3 });
    updateTo(cluster, { image: 'good:2', replicas: 3, update: config({ monitorMs: 2000, delayMs: 10_000 }) });
    cluster.run(5000);
    const updated = cluster.running().find((task) => task.revision === 2);
    assert.ok(updated !== undefined);
    cluster.fail(updated);
    cluster.run(60_000);
    assert.equal(status(cluster)?.state, UpdateState.COMPLETED);
  });

  it('a change of leader in the middle changes nothing', () => {
    const changed = start({ replicas: 6 });
    updateTo(changed, { image: 'good:2', replicas: 6, update: config({ delayMs: 2000, parallelism: 2 }) });
    let fewest = 6;
    for (let i = 0; i < 40; i++) {
      changed.changeLeader();
      changed.run(300);
      fewest = Math.min(fewest, changed.running().length);
    }
    changed.run(20_000);
    assert.ok(fewest >= 4, `only ${fewest} running`);
    assert.deepEqual(images(changed), { 'good:2': 6 });
    assert.equal(status(changed)?.state, UpdateState.COMPLETED);
    assert.equal(changed.tasks().length, 12);
  });

  it('a failure found by the old leader is counted by the new one, though its task is gone', () => {
    const cluster = start({ replicas: 4 });
    updateTo(cluster, { image: 'bad:2', replicas: 4, update: config({ ...careful, maxFailureRatio: 0.4 }) });
    cluster.run(800);
    assert.equal(status(cluster)?.state, UpdateState.UPDATING);
    for (const task of cluster.tasks()) if (task.status?.state === TaskState.FAILED) cluster.remove('task', task.id);
    cluster.changeLeader();
    cluster.run(60_000);
    assert.equal(status(cluster)?.state, UpdateState.PAUSED);
    assert.equal(images(cluster)['good:1'], 2);
  });

  it('a change of placement alone moves only tasks whose node does not fit any more', () => {
    const cluster = start({ replicas: 3 });
    const before = new Map(cluster.running().map((task) => [task.nodeId, task.id]));
    updateTo(cluster, { image: 'good:1', replicas: 3, constraints: ['node.labels.zone != z3'] });
    cluster.run(60_000);
    const after = new Map(cluster.running().map((task) => [task.id, task.nodeId]));
    assert.equal(after.get(before.get('n1') ?? ''), 'n1');
    assert.equal(after.get(before.get('n2') ?? ''), 'n2');
    assert.ok(!after.has(before.get('n3') ?? '') && ![...after.values()].includes('n3'));
    assert.equal(status(cluster)?.state, UpdateState.COMPLETED);
  });

  it('tasks that wait for an old, impossible constraint are replaced by the update', () => {
    const cluster = start({ replicas: 2, constraints: ['node.labels.zone == nowhere'] });
    assert.equal(cluster.running().length, 0);
    updateTo(cluster, { image: 'good:1', replicas: 2 });
    cluster.run(60_000);
    assert.equal(cluster.running().length, 2);
    assert.equal(cluster.tasks().length, 2);
  });

  it('the same spec with a raised force counter replaces every task', () => {
    const cluster = start({ replicas: 3 });
    const before = cluster.running().map(({ id }) => id);
    updateTo(cluster, { image: 'good:1', replicas: 3, forceUpdate: 1 });
    cluster.run(60_000);
    assert.ok(cluster.running().every((task) => !before.includes(task.id)));
  });

  it('a global service is updated node by node; one on a node that is away neither blocks it nor counts', () => {
    const cluster = start({ global: true });
    assert.equal(cluster.running().length, 3);
    cluster.setNodeState('n3', NodeState.DOWN);
    updateTo(cluster, { image: 'good:2', global: true });
    cluster.run(60_000);
    assert.equal(status(cluster)?.state, UpdateState.COMPLETED);
    const updated = cluster.running().filter((task) => task.revision === 2);
    assert.deepEqual(updated.map((task) => task.nodeId).sort(), ['n1', 'n2']);
  });

  it('an update goes on while a node is drained', () => {
    const cluster = start({ replicas: 6 });
    updateTo(cluster, { image: 'good:2', replicas: 6 });
    cluster.run(1);
    cluster.edit('node', 'n1', { spec: NodeSpec.create({ ...node('n1').spec, availability: NodeAvailability.DRAIN }) });
    cluster.run(60_000);
    assert.deepEqual(images(cluster), { 'good:2': 6 });
    assert.ok(cluster.running().every((task) => task.nodeId !== 'n1'));
  });
});
