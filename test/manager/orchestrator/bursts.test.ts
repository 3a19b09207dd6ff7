/**
 * Goal: many tasks at once, many dead tasks and tasks that die over and over cost the leader little, then and afterwards.
 * Method: all loops with agents under virtual time. Issues of Docker's swarm are named where they are held off.
 */
import assert from 'node:assert/strict';
import { NodeState, type NodeStatus, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { RestartCondition, RestartPolicy } from '#gen/swarm/v1/specs.ts';
import type { StoreEvent } from '#manager/store/index.ts';
import { LoopCluster, type LoopClusterOptions } from '#test/manager/loops/loop-cluster.ts';
import { inState, node, pendingTask, revision, service, spec } from '#test/manager/loops/objects.ts';
import { crashAtLength } from './crash-loops.ts';

function clusterOf(nodes: number, replicas: number, options: LoopClusterOptions = {}): LoopCluster {
  const cluster = new LoopCluster(options);
  for (let i = 1; i <= nodes; i++) cluster.create('node', node(`n${i}`));
  const restart = RestartPolicy.create({ condition: RestartCondition.ANY, delayMs: 0 });
  const declared = spec({ replicas, restart });
  cluster.create('service', service('web', declared));
  cluster.create('revision', revision('web', 1, declared));
  return cluster;
}

/** Tasks of each node, the fewest first. */
function spread(tasks: readonly Task[]): readonly number[] {
  const counts = new Map<string, number>();
  for (const { nodeId } of tasks) if (nodeId !== '') counts.set(nodeId, (counts.get(nodeId) ?? 0) + 1);
  return [...counts.values()].toSorted((one, other) => one - other);
}

/** As a new leader has them, until it hears of them. */
function loseSight(cluster: LoopCluster): void {
  for (const { id } of [...cluster.store.all('node')]) cluster.setNodeState(id, NodeState.UNKNOWN);
}

const placesOf = (cluster: LoopCluster): ReadonlyMap<string, string> =>
  new Map(cluster.running().map(({ id, nodeId }) => [id, nodeId]));

describe('orchestrator: bursts', () => {
  it('moby#25017: a new leader does not give all that waits to the first node that is back', () => {
    const cluster = clusterOf(8, 40);
    cluster.run(10_000);
    const before = placesOf(cluster);
    const declared = spec({ replicas: 120 });
    cluster.edit('service', 'web', { spec: declared });
    loseSight(cluster);
    cluster.changeLeader();
    cluster.settle();
    assert.equal(cluster.tasks().filter(({ status }) => status?.state === TaskState.PENDING).length, 80);
    for (let i = 1; i <= 8; i++) {
      cluster.nowMs += 100;
      cluster.setNodeState(`n${i}`, NodeState.READY);
      cluster.settle();
      // Half of them is enough: what is placed then is spread over four at least.
      if (i < 4) assert.equal(cluster.tasks().filter(({ status }) => status?.state === TaskState.ASSIGNED).length, 0);
    }
    cluster.run(10_000);
    assert.equal(cluster.running().length, 120);
    assert.ok((spread(cluster.running()).at(-1) ?? 0) <= 30, `${spread(cluster.running())}`);
    const after = placesOf(cluster);
    for (const [id, nodeId] of before) assert.equal(after.get(id), nodeId, 'what ran stays where it was');
  });

  it('nodes that do not come back are waited for no longer than two seconds, whatever their clocks say', () => {
    for (const [sinceMs, waitMs] of [
      [0, 2000],
      [3_600_000, 0],
      [-3_600_000, 0],
    ] as const) {
      const cluster = clusterOf(5, 0);
      cluster.settle();
      for (const { id, status } of [...cluster.store.all('node')].slice(1)) {
        const lost = { ...(status as NodeStatus), state: NodeState.UNKNOWN, sinceMs: cluster.nowMs + sinceMs };
        cluster.edit('node', id, { status: lost });
      }
      cluster.changeLeader();
      cluster.edit('service', 'web', { spec: spec({ replicas: 3 }) });
      cluster.settle();
      assert.equal(cluster.wakeAtMs(), waitMs === 0 ? undefined : cluster.nowMs + waitMs);
      cluster.run(waitMs);
      assert.deepEqual(spread(cluster.tasks()), [3]);
    }
  });

  it('swarmkit#2763: when 1,000 tasks have started, nothing is written or looked at for an hour', () => {
    const cluster = clusterOf(20, 1000);
    cluster.run(10_000);
    assert.equal(cluster.running().length, 1000);
    cluster.events.length = 0;
    assert.equal(cluster.wakeAtMs(), undefined);
    cluster.run(3_600_000);
    assert.equal(cluster.events.length, 0);
  });

  it('moby#41289: 500 dead tasks on one worker go, up to the history, and cost what runs nothing', () => {
    const cluster = clusterOf(2, 4);
    cluster.run(10_000);
    const before = placesOf(cluster);
    for (let number = 0; number < 500; number++) {
      const slot = 1 + (number % 4);
      const task = pendingTask(`dead${number}`, 'web', { slot, nodeId: 'n1', desiredState: TaskState.SHUTDOWN });
      cluster.create('task', inState(task, TaskState.FAILED));
    }
    cluster.changeLeader();
    cluster.events.length = 0;
    cluster.run(60_000);
    assert.deepEqual(placesOf(cluster), before);
    assert.equal(cluster.tasks().length, 4 * 5, 'five of each slot, with the one that runs');
    assert.equal(cluster.events.length, 500 - 4 * 4, 'each was written once, to remove it');
    const removed = ({ kind, table }: StoreEvent): boolean => table === 'task' && kind === 'remove';
    assert.ok(cluster.events.every(removed));
  });

  it('2,000 tasks that fail leave no more behind than 200 do', () => {
    const few = crashAtLength({ slots: 40, failures: 200 });
    const many = crashAtLength({ slots: 40, failures: 2000 });
    assert.ok(many.failed >= 2000);
    assert.ok(many.tasks <= 40 * 6, `${many.tasks} tasks are kept`);
    assert.ok(many.bytes <= few.bytes * 1.2, `${few.bytes} bytes after 200, ${many.bytes} after 2000`);
    assert.ok(many.bytes <= 40 * (4096 + 6 * 2048), `${many.bytes} bytes`);
    assert.ok(many.writes <= many.failed * 20, `${many.writes} writes`);
  });
});
