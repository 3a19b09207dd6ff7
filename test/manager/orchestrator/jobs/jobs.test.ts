/**
 * Goal: a job runs as often as it says, whatever fails, and what went wrong is told. Method: all loops together on an
 * in-memory store with obedient agents and virtual time. Defects of Swarm's jobs are named in the tests that hold them off.
 */
import assert from 'node:assert/strict';
import { NodeState, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability, NodeSpec, RestartCondition } from '#gen/swarm/v1/specs.ts';
import type { LoopCluster } from '#test/manager/loops/loop-cluster.ts';
import { node } from '#test/manager/loops/objects.ts';
import {
  completed,
  declareJob,
  jobCluster,
  lastRunOf,
  runNow,
  runsOf,
  tasksOfRun,
  told,
  updateJob,
} from './job-cluster.ts';

function mayRun(task: Task): boolean {
  const state = task.status?.state ?? TaskState.NEW;
  return state <= TaskState.RUNNING;
}

/** Lets the cluster work until it rests, and gives the largest number of tasks that were at work at once. */
function runWatching(cluster: LoopCluster): number {
  let most = 0;
  for (let round = 0; round < 500; round++) {
    cluster.settle();
    most = Math.max(most, cluster.tasks('job').filter(mayRun).length);
    if (cluster.stepAgents() === 0) cluster.run(500);
  }
  return most;
}

/** Starts of containers, by slot, as the events tell. */
function starts(cluster: LoopCluster, iteration: number): ReadonlyMap<number | string, number> {
  const counts = new Map<number | string, number>();
  for (const { table, kind, object, old } of cluster.events) {
    if (table !== 'task' || kind !== 'update' || object.jobIteration !== iteration) continue;
    if (object.status?.state !== TaskState.RUNNING || old.status?.state === TaskState.RUNNING) continue;
    const key = object.slot > 0 ? object.slot : object.nodeId;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

describe('orchestrator: jobs', () => {
  it('five completions, two at a time, each in its slot', () => {
    const cluster = jobCluster(3);
    declareJob(cluster, { total: 5, concurrent: 2 });
    assert.equal(runWatching(cluster), 2);
    assert.deepEqual(told(cluster), ['1 completed 5/5']);
    const slots = completed(cluster.tasks('job')).map(({ slot }) => slot);
    assert.deepEqual(new Set(slots), new Set([1, 2, 3, 4, 5]));
    assert.equal(cluster.tasks('job').length, 5);
  });

  it('without numbers: one completion; without a limit: all at once; none at all is complete at once', () => {
    const cluster = jobCluster(2);
    declareJob(cluster, {});
    declareJob(cluster, { total: 4 }, 'four');
    declareJob(cluster, { total: 0 }, 'none');
    cluster.run(500);
    assert.equal(cluster.running('four').length, 4);
    cluster.run(60_000);
    assert.deepEqual(told(cluster), ['1 completed 1/1']);
    assert.deepEqual(told(cluster, 'four'), ['1 completed 4/4']);
    assert.deepEqual(told(cluster, 'none'), ['1 completed 0/0']);
  });

  it('moby#53632: leaders that come and go at every step run no slot a second time', () => {
    const cluster = jobCluster(3);
    declareJob(cluster, { total: 6, concurrent: 3 });
    for (let round = 0; round < 200; round++) {
      cluster.changeLeader();
      cluster.settle();
      if (cluster.stepAgents() === 0) cluster.run(300);
    }
    cluster.changeLeader();
    cluster.run(3_600_000);
    assert.deepEqual(told(cluster), ['1 completed 6/6']);
    assert.deepEqual([...starts(cluster, 1).values()], [1, 1, 1, 1, 1, 1]);
  });

  it('two loops that decide on the same state ask for the same tasks: what is asked for twice is made once', () => {
    const cluster = jobCluster(1);
    declareJob(cluster, { total: 3 });
    const idsOf = () => {
      const loop = cluster.newLoops().find(({ name }) => name === 'job-orchestrator');
      loop?.restore(cluster.store);
      const changes = loop?.plan(cluster.store, cluster.nowMs).changes.flat() ?? [];
      return changes.filter(({ table }) => table === 'task').map(({ object }) => object.id);
    };
    const loop = cluster.loops.find(({ name }) => name === 'job-orchestrator');
    const [first] = loop?.plan(cluster.store, cluster.nowMs).changes ?? [];
    cluster.commit(...(first ?? []));
    const ids = idsOf();
    assert.equal(ids.length, 3);
    assert.equal(new Set(ids).size, 3);
    assert.deepEqual(idsOf(), ids);
    for (const id of ids) assert.match(id, /^[a-z0-9]{25}$/);
  });

  it('moby#42789: runs beyond the history take their tasks with them, a removed job all of them', () => {
    const cluster = jobCluster(2);
    declareJob(cluster, { total: 3, historyLimit: 2 });
    for (let i = 1; i <= 6; i++) {
      cluster.run(60_000);
      updateJob(cluster, { total: 3, historyLimit: 2, forceUpdate: i });
    }
    cluster.run(60_000);
    assert.deepEqual(told(cluster), ['6 completed 3/3', '7 completed 3/3']);
    assert.deepEqual(new Set(cluster.tasks('job').map(({ jobIteration }) => jobIteration)), new Set([6, 7]));
    assert.equal(cluster.tasks('job').length, 6);
    cluster.edit('service', 'job', { pendingDelete: true });
    cluster.run(60_000);
    assert.equal(cluster.tasks('job').length, 0);
    assert.equal(cluster.store.get('service', 'job'), undefined);
    assert.equal([...cluster.store.revisionsOfService('job')].length, 0);
  });

  it('a job that is removed in the middle stops its tasks first', () => {
    const cluster = jobCluster(2);
    declareJob(cluster, { total: 3, image: 'endless:1' });
    cluster.run(10_000);
    cluster.edit('service', 'job', { pendingDelete: true });
    cluster.settle();
    assert.equal(cluster.tasks('job').length, 3);
    cluster.run(10_000);
    assert.equal(cluster.store.get('service', 'job'), undefined);
    assert.equal(
      [...cluster.containers.values()].every((ids) => ids.size === 0),
      true,
    );
  });

  it('an exhausted slot stays so: other events do not make its task anew (Swarm does)', () => {
    const cluster = jobCluster(2);
    declareJob(cluster, { total: 2, image: 'bad:1', restart: { maxAttempts: 2, delayMs: 100 } });
    cluster.run(60_000);
    assert.deepEqual(told(cluster), ['1 failed 0/2']);
    assert.match(lastRunOf(cluster).message, /slot 1\): task: non-zero exit \(1\); restarted 2 times.*, and 1 more/);
    assert.deepEqual([...starts(cluster, 1).values()], [3, 3]);
    cluster.create('node', node('n9'));
    cluster.changeLeader();
    cluster.run(600_000);
    assert.deepEqual([...starts(cluster, 1).values()], [3, 3]);
    assert.deepEqual(told(cluster), ['1 failed 0/2']);
  });

  it('with restart condition none one failure is final; the other slots go on to their end', () => {
    const cluster = jobCluster(2, {
      fate: (task) => ({ afterMs: 1000, state: task.slot === 2 ? TaskState.FAILED : TaskState.COMPLETE }),
    });
    declareJob(cluster, { total: 4, concurrent: 1, restart: { condition: RestartCondition.NONE } });
    cluster.run(60_000);
    assert.deepEqual(told(cluster), ['1 failed 3/4']);
    assert.deepEqual([...starts(cluster, 1).values()], [1, 1, 1, 1]);
    assert.equal(lastRunOf(cluster).failed, 1);
  });

  it('max attempts counts for global jobs, too (Swarm never applies it)', () => {
    const cluster = jobCluster(2);
    declareJob(cluster, { global: true, image: 'bad:1', restart: { maxAttempts: 1, delayMs: 100 } });
    cluster.run(60_000);
    assert.deepEqual(Object.fromEntries(starts(cluster, 1)), {
      n1: 2,
      n2: 2,
    });
    assert.deepEqual(told(cluster), ['1 failed 0/2']);
  });

  it('condition any means on-failure: what has succeeded is not run again', () => {
    const cluster = jobCluster(1);
    declareJob(cluster, { restart: { condition: RestartCondition.ANY, delayMs: 0 } });
    cluster.run(600_000);
    assert.deepEqual([...starts(cluster, 1).values()], [1]);
  });

  it('a failed task is started again after its delay, with the reason', () => {
    const cluster = jobCluster(1);
    declareJob(cluster, { image: 'bad:1', restart: { delayMs: 5000 } });
    cluster.run(2000);
    const held = cluster.tasks('job').find(({ desiredState }) => desiredState === TaskState.READY);
    assert.match(held?.holdReason ?? '', /restarting: task: non-zero exit/);
    cluster.run(5000);
    assert.equal(starts(cluster, 1).get(1), 2);
  });

  it('the attempts of a slot that fails for ever are kept up to the history limit of tasks', () => {
    const cluster = jobCluster(1);
    declareJob(cluster, { image: 'bad:1', restart: { delayMs: 0 } });
    cluster.run(3_600_000);
    assert.ok((starts(cluster, 1).get(1) ?? 0) > 8);
    assert.ok(cluster.tasks('job').length <= 6, `${cluster.tasks('job').length} tasks`);
  });

  it('global: every fitting node once; a node that joins later at once, though nothing else happens', () => {
    const cluster = jobCluster(3);
    declareJob(cluster, { global: true, constraints: ['node.hostname != n2'] });
    cluster.run(60_000);
    assert.deepEqual(told(cluster), ['1 completed 2/2']);
    cluster.create('node', node('n4'));
    cluster.settle();
    assert.equal(
      cluster.wanted('job').some(({ nodeId }) => nodeId === 'n4'),
      true,
    );
    cluster.run(60_000);
    assert.deepEqual(told(cluster), ['1 completed 3/3']);
    assert.deepEqual(Object.fromEntries(starts(cluster, 1)), {
      n1: 1,
      n3: 1,
      n4: 1,
    });
  });

  it('global: drained, paused and lost nodes do not hold a run up; they have their turn when they are back', () => {
    const cluster = jobCluster(4);
    cluster.edit('node', 'n1', { spec: NodeSpec.create({ availability: NodeAvailability.DRAIN }) });
    cluster.edit('node', 'n2', { spec: NodeSpec.create({ availability: NodeAvailability.PAUSE }) });
    cluster.setNodeState('n3', NodeState.DOWN);
    declareJob(cluster, { global: true });
    cluster.run(60_000);
    assert.deepEqual(told(cluster), ['1 completed 1/1']);
    cluster.edit('node', 'n1', { spec: NodeSpec.create() });
    cluster.edit('node', 'n2', { spec: NodeSpec.create() });
    cluster.setNodeState('n3', NodeState.READY);
    cluster.run(60_000);
    assert.deepEqual(told(cluster), ['1 completed 4/4']);
  });

  it('global: a node that goes down during its run is left out of it, and goes on when it is back', () => {
    const cluster = jobCluster(2);
    declareJob(cluster, { global: true });
    cluster.run(500);
    cluster.setNodeState('n2', NodeState.DOWN);
    cluster.run(60_000);
    assert.deepEqual(told(cluster), ['1 completed 1/1']);
    cluster.setNodeState('n2', NodeState.READY);
    cluster.run(60_000);
    assert.deepEqual(told(cluster), ['1 completed 2/2']);
    assert.equal(starts(cluster, 1).get('n2'), 1);
  });

  it('the loss of a node is no attempt; the slot begins anew at once', () => {
    const cluster = jobCluster(2);
    declareJob(cluster, { total: 2, restart: { maxAttempts: 1, delayMs: 60_000 } });
    cluster.run(500);
    cluster.setNodeState('n1', NodeState.DOWN);
    cluster.run(10_000);
    assert.deepEqual(told(cluster), ['1 completed 2/2']);
    assert.deepEqual(
      cluster.tasks('job').map(({ restartAttempt }) => restartAttempt),
      [0, 0, 0],
    );
  });

  it('a task that completed on a node that was given up counts: its replacement is stopped', () => {
    const cluster = jobCluster(2);
    declareJob(cluster, { image: 'endless:1' });
    cluster.run(500);
    const [first] = cluster.running('job');
    assert.ok(first !== undefined);
    cluster.setNodeState(first.nodeId, NodeState.DOWN);
    cluster.run(500);
    cluster.setNodeState(first.nodeId, NodeState.READY);
    cluster.report(cluster.store.get('task', first.id) as Task, TaskState.COMPLETE);
    cluster.run(10_000);
    assert.deepEqual(told(cluster), ['1 completed 1/1']);
    assert.equal(cluster.running('job').length, 0);
  });

  it('restart condition none: a task that is lost with its node is not run a second time', () => {
    const cluster = jobCluster(2);
    declareJob(cluster, { image: 'endless:1', restart: { condition: RestartCondition.NONE } });
    cluster.run(500);
    cluster.setNodeState(cluster.running('job')[0]?.nodeId ?? '', NodeState.DOWN);
    cluster.run(60_000);
    assert.deepEqual(told(cluster), ['1 failed 0/1']);
    assert.match(lastRunOf(cluster).message, /restart condition is none/);
    assert.equal(starts(cluster, 1).get(1), 1);
  });

  it('a drained node gives its tasks up; they begin anew elsewhere once they have stopped', () => {
    const cluster = jobCluster(2);
    declareJob(cluster, { total: 2 });
    cluster.run(500);
    cluster.edit('node', 'n1', { spec: NodeSpec.create({ availability: NodeAvailability.DRAIN }) });
    cluster.settle();
    assert.equal(cluster.tasks('job').length, 2, 'nothing is made before the task has stopped');
    cluster.run(10_000);
    assert.deepEqual(told(cluster), ['1 completed 2/2']);
    for (const task of completed(cluster.tasks('job'))) assert.equal(task.nodeId, 'n2');
  });

  it('a deadline ends a run: what is left of it is stopped, and the reason says how far it came', () => {
    const cluster = jobCluster(2, {
      fate: (task) => (task.slot === 1 ? { afterMs: 1000, state: TaskState.COMPLETE } : undefined),
    });
    declareJob(cluster, { total: 3, deadlineMs: 30_000 });
    cluster.run(29_000);
    assert.deepEqual(told(cluster), ['1 running 0/3']);
    cluster.run(10_000);
    assert.deepEqual(told(cluster), ['1 failed 1/3']);
    assert.equal(lastRunOf(cluster).message, 'deadline of 30s has passed with 1/3 completed');
    assert.equal(
      [...cluster.containers.values()].every((ids) => ids.size === 0),
      true,
    );
  });

  it('an update in the middle replaces the run; the new one begins when the old one has stopped', () => {
    const cluster = jobCluster(2);
    declareJob(cluster, { total: 2, image: 'endless:1' });
    cluster.run(10_000);
    updateJob(cluster, { total: 3 });
    cluster.settle();
    assert.deepEqual(told(cluster), ['1 replaced 0/2', '2 queued 0/0']);
    assert.equal(tasksOfRun(cluster, 2).length, 0);
    cluster.run(10_000);
    assert.deepEqual(told(cluster), ['1 replaced 0/2', '2 completed 3/3']);
    assert.equal(runsOf(cluster)[0]?.message, 'run 2 took its place');
    for (const task of tasksOfRun(cluster, 1)) assert.equal(task.status?.state, TaskState.SHUTDOWN);
  });

  it('a run that was asked for begins; of two that wait the later stays', () => {
    const cluster = jobCluster(1);
    declareJob(cluster, {});
    cluster.run(10_000);
    runNow(cluster, 'job', 'a');
    cluster.run(200);
    runNow(cluster, 'job', 'b');
    runNow(cluster, 'job', 'c');
    cluster.run(10_000);
    assert.deepEqual(told(cluster), ['1 completed 1/1', '2 completed 1/1', '3 replaced 0/0', '4 completed 1/1']);
  });

  it('a large job is planned in slices', function () {
    this.timeout(60_000);
    const cluster = jobCluster(0);
    declareJob(cluster, { total: 2000, concurrent: 1500 });
    const loop = cluster.loops.find(({ name }) => name === 'job-orchestrator');
    let largest = 0;
    for (let round = 0; round < 50; round++) {
      const { changes } = loop?.plan(cluster.store, cluster.nowMs) ?? { changes: [] };
      largest = Math.max(largest, changes.length);
      for (const group of changes) cluster.commit(...group);
    }
    assert.ok(largest <= 400, `${largest} groups at once`);
    assert.equal(cluster.tasks('job').length, 1500);
  });
});
