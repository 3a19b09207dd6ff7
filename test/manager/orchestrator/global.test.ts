/** Goal: one task on every fit node, whatever nodes do. Method: all loops with agents under virtual time. */
import assert from 'node:assert/strict';
import { type Node, NodeState, TaskState } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { LoopCluster } from '#test/manager/loops/loop-cluster.ts';
import { node, revision, type SpecOptions, service, spec } from '#test/manager/loops/objects.ts';

function start(nodes: number, options: SpecOptions = {}): LoopCluster {
  const cluster = new LoopCluster();
  for (let i = 1; i <= nodes; i++) cluster.create('node', node(`n${i}`, { labels: { zone: `z${i % 2}` } }));
  const declared = spec({ global: true, ...options });
  cluster.create('service', service('agent', declared));
  cluster.create('revision', revision('agent', 1, declared));
  cluster.run(10_000);
  return cluster;
}

function nodesOf(cluster: LoopCluster): readonly string[] {
  return cluster
    .running()
    .map((task) => task.nodeId)
    .sort();
}

function setAvailability(cluster: LoopCluster, id: string, availability: NodeAvailability): void {
  const current = cluster.store.get('node', id);
  cluster.edit('node', id, { spec: { ...current?.spec, availability } as Node['spec'] });
}

describe('orchestrator: global services', () => {
  it('one task on each node that meets the constraints, also on nodes that join later', () => {
    const cluster = start(4, { constraints: ['node.labels.zone == z1'] });
    assert.deepEqual(nodesOf(cluster), ['n1', 'n3']);
    cluster.create('node', node('n5', { labels: { zone: 'z1' } }));
    cluster.create('node', node('n6', { labels: { zone: 'z0' } }));
    cluster.run(10_000);
    assert.deepEqual(nodesOf(cluster), ['n1', 'n3', 'n5']);
  });

  it('a label that comes or goes brings and takes the task', () => {
    const cluster = start(2, { constraints: ['node.labels.zone == z1'] });
    for (const [id, zone] of [
      ['n1', 'z0'],
      ['n2', 'z1'],
    ] as const)
      cluster.edit('node', id, { spec: { ...node(id).spec, labels: { zone } } as Node['spec'] });
    cluster.run(10_000);
    assert.deepEqual(nodesOf(cluster), ['n2']);
    assert.equal(cluster.containers.get('n1')?.size, 0);
    cluster.edit('node', 'n1', { spec: { ...node('n1').spec, labels: { zone: 'z1' } } as Node['spec'] });
    cluster.run(10_000);
    assert.deepEqual(nodesOf(cluster), ['n1', 'n2']);
  });

  it('draining takes the task away, activating brings one back; pausing leaves it', () => {
    const cluster = start(2);
    setAvailability(cluster, 'n1', NodeAvailability.DRAIN);
    cluster.run(10_000);
    assert.deepEqual(nodesOf(cluster), ['n2']);
    setAvailability(cluster, 'n1', NodeAvailability.PAUSE);
    cluster.run(10_000);
    assert.deepEqual(nodesOf(cluster), ['n2']);
    assert.equal(cluster.wanted().length, 1);
    setAvailability(cluster, 'n1', NodeAvailability.ACTIVE);
    cluster.run(10_000);
    setAvailability(cluster, 'n2', NodeAvailability.PAUSE);
    cluster.run(10_000);
    assert.deepEqual(nodesOf(cluster), ['n1', 'n2']);
  });

  it('a node that is away keeps its task; when it returns with it, nothing is started anew', () => {
    const cluster = start(2);
    const before = cluster
      .running()
      .map(({ id }) => id)
      .sort();
    cluster.setNodeState('n2', NodeState.DOWN);
    cluster.run(60_000);
    assert.equal(cluster.tasks().length, 2);
    cluster.setNodeState('n2', NodeState.READY);
    cluster.run(10_000);
    assert.deepEqual(
      cluster
        .running()
        .map(({ id }) => id)
        .sort(),
      before,
    );
  });

  it('a node that reboots gets a new one at once', () => {
    const cluster = start(2);
    const task = cluster.running().find((one) => one.nodeId === 'n2');
    assert.ok(task !== undefined);
    cluster.setNodeState('n2', NodeState.DOWN);
    cluster.run(20_000);
    cluster.setNodeState('n2', NodeState.READY);
    cluster.fail(task, 255);
    cluster.run(1);
    assert.deepEqual(nodesOf(cluster), ['n1', 'n2']);
    assert.ok(cluster.running().every((one) => one.restartAttempt === 0));
  });

  it('a removed node takes its tasks with it', () => {
    const cluster = start(3);
    cluster.remove('node', 'n3');
    cluster.run(10_000);
    assert.deepEqual(nodesOf(cluster), ['n1', 'n2']);
    assert.equal(cluster.tasks().length, 2);
  });

  it('a failed task is started again on its node after the delay', () => {
    const cluster = start(2);
    const task = cluster.running().find((one) => one.nodeId === 'n1');
    assert.ok(task !== undefined);
    cluster.fail(task);
    cluster.run(4999);
    assert.deepEqual(nodesOf(cluster), ['n2']);
    cluster.run(1001);
    assert.deepEqual(nodesOf(cluster), ['n1', 'n2']);
    const next = cluster.running().find((one) => one.nodeId === 'n1');
    assert.equal(next?.replaces, task.id);
    assert.equal(next?.slot, 0);
  });

  it('a node without room says so on the task; it starts when there is some', () => {
    const cluster = start(1, { cpus: 16 });
    const [task] = cluster.wanted();
    assert.equal(task?.status?.state, TaskState.PENDING);
    assert.equal(task?.status?.error, 'no suitable node (insufficient resources on 1 node)');
    const current = cluster.store.get('node', 'n1');
    const resources = { cpuNanos: 32e9, memoryBytes: 1e9, pids: 0 };
    cluster.edit('node', 'n1', { description: { ...current?.description, resources } as Node['description'] });
    cluster.run(10_000);
    assert.deepEqual(nodesOf(cluster), ['n1']);
  });

  it('a removed service leaves nothing', () => {
    const cluster = start(3);
    cluster.edit('service', 'agent', { pendingDelete: true });
    cluster.run(10_000);
    assert.equal(cluster.store.count('task') + cluster.store.count('service') + cluster.store.count('revision'), 0);
  });
});
