/** Goal: history is kept to its limit, remains go, misfits leave. Method: all loops with agents under virtual time. */
import assert from 'node:assert/strict';
import { type Node, NodeState, TaskState } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, NodeAvailability, OrchestrationConfig } from '#gen/swarm/v1/specs.ts';
import { LoopCluster, type LoopClusterOptions } from '#test/manager/loops/loop-cluster.ts';
import {
  cluster as clusterObject,
  GIB,
  node,
  pendingTask,
  revision,
  type SpecOptions,
  service,
  spec,
} from '#test/manager/loops/objects.ts';

function start(nodes: number, options: SpecOptions, more: LoopClusterOptions = {}): LoopCluster {
  const cluster = new LoopCluster(more);
  cluster.create('cluster', clusterObject());
  for (let i = 1; i <= nodes; i++) cluster.create('node', node(`n${i}`, { labels: { zone: `z${i}` } }));
  const declared = spec(options);
  cluster.create('service', service('web', declared));
  cluster.create('revision', revision('web', 1, declared));
  cluster.run(10_000);
  return cluster;
}

function setLimit(cluster: LoopCluster, taskHistoryLimit: number): void {
  const current = cluster.store.cluster();
  const orchestration = OrchestrationConfig.create({ taskHistoryLimit });
  cluster.edit('cluster', 'cluster', { spec: ClusterSpec.create({ ...current?.spec, orchestration }) });
}

const crash = { fate: () => ({ afterMs: 100, state: TaskState.FAILED }) };

describe('orchestrator: task reaper', () => {
  it('keeps five tasks of a slot, the present one included', () => {
    const cluster = start(1, { replicas: 2 }, crash);
    cluster.run(600_000);
    for (const slot of [1, 2]) assert.equal(cluster.tasks().filter((task) => task.slot === slot).length, 5);
    const [oldest] = cluster.tasks().filter((task) => task.slot === 1);
    assert.ok((oldest?.createdAtMs ?? 0) > 0);
    assert.ok(cluster.wanted().every((task) => task.restartAttempt > 5));
  });

  it('follows the limit of the cluster: another one, none, all', () => {
    const cluster = start(1, { replicas: 1 }, crash);
    cluster.run(600_000);
    setLimit(cluster, 2);
    cluster.run(1);
    assert.equal(cluster.tasks().length, 2);
    setLimit(cluster, 0);
    cluster.run(1);
    assert.equal(cluster.tasks().length, 1);
    setLimit(cluster, -1);
    cluster.run(3_600_000);
    assert.ok(cluster.tasks().length > 10);
  });

  it('never deletes the task that says why its slot is done', () => {
    const cluster = start(
      1,
      { replicas: 1, restart: { condition: 1, delayMs: 0, maxAttempts: 0, windowMs: 0 } },
      crash,
    );
    setLimit(cluster, 0);
    cluster.run(60_000);
    assert.equal(cluster.tasks().length, 1);
    assert.equal(cluster.tasks()[0]?.finalReason, 'restart condition is none');
  });

  it('removes what is left of a service that does not exist', () => {
    const cluster = start(1, { replicas: 1 });
    cluster.create('task', pendingTask('lost1', 'gone'));
    cluster.create('task', pendingTask('lost2', 'gone', { nodeId: 'n1' }));
    const [running] = cluster.running();
    assert.ok(running !== undefined);
    cluster.create('task', { ...running, id: 'lost3', serviceId: 'gone', version: 0 });
    cluster.run(10_000);
    assert.deepEqual(cluster.tasks('gone'), []);
    assert.equal(cluster.running('web').length, 1);
  });

  it('gives tasks up for lost whose node has been down for a day', () => {
    const cluster = start(2, { replicas: 2 });
    cluster.setNodeState('n2', NodeState.DOWN);
    cluster.run(24 * 3_600_000 - 1);
    const left = () => cluster.tasks().filter((task) => task.nodeId === 'n2');
    assert.deepEqual(
      left().map((task) => task.status?.state),
      [TaskState.RUNNING],
    );
    cluster.changeLeader();
    cluster.run(1);
    cluster.run(1);
    assert.deepEqual(
      left().map((task) => task.status?.state),
      [TaskState.ORPHANED],
    );
  });
});

describe('orchestrator: constraint enforcer', () => {
  it('a task whose node lost the label leaves it, with the reason, and runs elsewhere', () => {
    const cluster = start(3, { replicas: 2, constraints: ['node.labels.zone != z3'] });
    const task = cluster.running().find((one) => one.nodeId === 'n1');
    assert.ok(task !== undefined);
    cluster.edit('node', 'n1', { spec: { ...node('n1').spec, labels: { zone: 'z3' } } as Node['spec'] });
    cluster.run(10_000);
    assert.deepEqual(
      cluster.running().map((one) => one.nodeId),
      ['n2', 'n2'],
    );
    const old = cluster.store.get('task', task.id);
    assert.equal(old?.evictReason, 'assigned node no longer meets constraints');
    assert.equal(old?.status?.state, TaskState.SHUTDOWN);
    assert.ok(cluster.running().every((one) => one.restartAttempt === 0));
  });

  it('a node that shrank keeps the oldest tasks that it has room for', () => {
    const cluster = start(2, { replicas: 8, cpus: 1, memoryBytes: GIB });
    const before = cluster.running().filter((one) => one.nodeId === 'n1');
    assert.equal(before.length, 4);
    const resources = { cpuNanos: 8e9, memoryBytes: 2 * GIB, pids: 0 };
    cluster.edit('node', 'n1', { description: { ...node('n1').description, resources } as Node['description'] });
    cluster.run(10_000);
    assert.equal(cluster.running().filter((one) => one.nodeId === 'n1').length, 2);
    assert.equal(cluster.running().length, 8);
  });

  it('leaves paused nodes alone', () => {
    const cluster = start(2, { replicas: 2, constraints: ['node.labels.zone != z9'] });
    const changed = {
      ...node('n1').spec,
      labels: { zone: 'z9' },
      availability: NodeAvailability.PAUSE,
    } as Node['spec'];
    cluster.edit('node', 'n1', { spec: changed });
    cluster.run(10_000);
    assert.equal(cluster.running().filter((one) => one.nodeId === 'n1').length, 1);
    cluster.edit('node', 'n1', { spec: { ...changed, availability: NodeAvailability.ACTIVE } as Node['spec'] });
    cluster.run(10_000);
    assert.equal(cluster.running().filter((one) => one.nodeId === 'n1').length, 0);
  });
});
