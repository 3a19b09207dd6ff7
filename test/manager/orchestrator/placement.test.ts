/**
 * Goal: where tasks are follows what is declared and what nodes are, with nobody's help. Method: all loops together on an
 * in-memory store with obedient agents and virtual time.
 */
import assert from 'node:assert/strict';
import { type Node, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import { GenericResource, NodeSpec, Resources, UpdateConfig, UpdateOrder } from '#gen/swarm/v1/specs.ts';
import { SERVICES_LEVEL } from '#manager/scheduler/index.ts';
import { LoopCluster } from '#test/manager/loops/loop-cluster.ts';
import { node, revision, type SpecOptions, service, spec } from '#test/manager/loops/objects.ts';

function declare(cluster: LoopCluster, id: string, options: SpecOptions): void {
  const declared = spec({ name: id, ...options });
  cluster.create('service', service(id, declared));
  cluster.create('revision', revision(id, 1, declared));
}

/** A new revision of the service. */
function revise(cluster: LoopCluster, id: string, number: number, options: SpecOptions): void {
  const declared = spec({ name: id, ...options });
  cluster.create('revision', revision(id, number, declared));
  cluster.edit('service', id, { spec: declared, revision: number });
}

function clusterWith(nodes: number, cpus = 8): LoopCluster {
  const cluster = new LoopCluster();
  for (let i = 1; i <= nodes; i++) cluster.create('node', node(`n${i}`, { cpus }));
  return cluster;
}

function waiting(cluster: LoopCluster, id: string): readonly Task[] {
  return cluster.wanted(id).filter((task) => task.status?.state === TaskState.PENDING);
}

function label(cluster: LoopCluster, id: string, labels: Readonly<Record<string, string>>): void {
  cluster.edit('node', id, { spec: NodeSpec.create({ labels }) });
}

describe('placement over time', () => {
  it('tasks that wait are placed when their constraint is taken back, and when a node comes to meet it', () => {
    const cluster = clusterWith(2);
    declare(cluster, 'a', { replicas: 2, constraints: ['node.labels.disk == ssd'] });
    declare(cluster, 'b', { replicas: 2, constraints: ['node.labels.disk =~ ^ssd'] });
    cluster.run(5000);
    assert.equal(waiting(cluster, 'a').length, 2);
    assert.match(waiting(cluster, 'b')[0]?.status?.error ?? '', /scheduling constraints not satisfied on 2 nodes/);
    revise(cluster, 'a', 2, { replicas: 2 });
    cluster.run(30_000);
    assert.equal(cluster.running('a').length, 2);
    assert.equal(waiting(cluster, 'b').length, 2);
    label(cluster, 'n2', { disk: 'ssd-2' });
    cluster.run(5000);
    assert.deepEqual(new Set(cluster.running('b').map(({ nodeId }) => nodeId)), new Set(['n2']));
  });

  it('tasks whose node no longer meets their constraint move to one that does', () => {
    const cluster = clusterWith(2);
    label(cluster, 'n1', { weight: '9' });
    declare(cluster, 'a', { replicas: 2, constraints: ['node.labels.weight >= 5'] });
    cluster.run(5000);
    assert.equal(cluster.running('a').length, 2);
    label(cluster, 'n2', { weight: '7' });
    label(cluster, 'n1', { weight: '4' });
    cluster.run(60_000);
    assert.deepEqual(
      cluster.running('a').map(({ nodeId }) => nodeId),
      ['n2', 'n2'],
    );
  });

  it('a task of high priority takes the place of the youngest of the lowest, once; reasons are on both', () => {
    const cluster = clusterWith(1, 4);
    declare(cluster, 'low', { replicas: 2, cpus: 1, placement: { priority: -10 } });
    cluster.run(5000);
    declare(cluster, 'middle', { replicas: 2, cpus: 1 });
    cluster.run(5000);
    assert.equal(cluster.running().length, 4);
    declare(cluster, 'high', { replicas: 1, cpus: 1, placement: { priority: 100, preempts: true } });
    cluster.run(60_000);
    assert.equal(cluster.running('high').length, 1);
    assert.equal(cluster.running('middle').length, 2);
    assert.equal(cluster.running('low').length, 1);
    const victim = cluster.tasks('low').find(({ preemptedBy }) => preemptedBy !== '');
    assert.match(victim?.evictReason ?? '', /^preempted by task \w+ of service high \(priority 100\)$/);
    assert.equal(victim?.preemptedBy, cluster.running('high')[0]?.id);
    assert.match(waiting(cluster, 'low')[0]?.status?.error ?? '', /insufficient resources on 1 node/);
    const events = cluster.events.length;
    cluster.run(600_000);
    assert.ok(cluster.events.length - events < 50, 'they go on to push each other away');
  });

  it('the room that is made is kept, though a smaller task of low priority waits for it; a new leader keeps it too', () => {
    const cluster = clusterWith(1, 4);
    declare(cluster, 'low', { replicas: 4, cpus: 1, placement: { priority: -10 } });
    cluster.run(5000);
    declare(cluster, 'small', { replicas: 4, cpus: 1, placement: { priority: -1 } });
    declare(cluster, 'high', { replicas: 1, cpus: 3, placement: { priority: 5, preempts: true } });
    cluster.settle();
    cluster.changeLeader();
    cluster.run(60_000);
    assert.equal(cluster.running('high').length, 1);
    const evicted = cluster.tasks().filter(({ preemptedBy }) => preemptedBy !== '');
    assert.equal(evicted.length, 3, 'no more than had to');
    assert.equal(cluster.running().length, 2);
  });

  it('who does not ask for it waits, and goes first when there is room', () => {
    const cluster = clusterWith(1, 2);
    declare(cluster, 'low', { replicas: 2, cpus: 1 });
    cluster.run(5000);
    declare(cluster, 'other', { replicas: 1, cpus: 1 });
    declare(cluster, 'high', { replicas: 1, cpus: 1, placement: { priority: 5 } });
    cluster.run(60_000);
    assert.equal(cluster.running('low').length, 2);
    cluster.create('node', node('n2', { cpus: 1 }));
    cluster.run(5000);
    assert.equal(cluster.running('high').length, 1);
    assert.equal(cluster.running('other').length, 0);
  });

  it('a start-first service makes room at once: its successor would have nowhere to be', () => {
    const cluster = clusterWith(1, 2);
    const update = UpdateConfig.create({ order: UpdateOrder.START_FIRST });
    declare(cluster, 'low', { replicas: 2, cpus: 1, update });
    cluster.run(5000);
    declare(cluster, 'high', { replicas: 2, cpus: 1, placement: { priority: 5, preempts: true } });
    cluster.run(60_000);
    assert.equal(cluster.running('high').length, 2);
  });

  it('named resources are given to one task each, are free again with its end, and leave with their node', () => {
    const cluster = new LoopCluster();
    const names = ['a', 'b', 'c'].map((value) =>
      GenericResource.create({ kind: 'GPU', value: { kind: 'name', value } }),
    );
    const described = (count: number): Node => {
      const made = node('n1');
      const resources = Resources.create({ ...made.description?.resources, generic: names.slice(0, count) });
      return {
        ...made,
        description: { ...made.description, resources, featureLevel: SERVICES_LEVEL } as Node['description'],
      };
    };
    cluster.create('node', described(3));
    const generic = [GenericResource.create({ kind: 'GPU', value: { kind: 'count', value: 1 } })];
    const resources = { reservations: Resources.create({ generic }) } as NonNullable<SpecOptions['task']>['resources'];
    declare(cluster, 'web', { replicas: 4, task: { resources } });
    cluster.run(60_000);
    const given = (): readonly string[] =>
      cluster
        .running('web')
        .flatMap(({ assignedGeneric }) => assignedGeneric.map(({ value }) => String(value?.value)))
        .sort();
    assert.deepEqual(given(), ['a', 'b', 'c']);
    assert.match(waiting(cluster, 'web')[0]?.status?.error ?? '', /generic resources GPU=1 not free on 1 node/);
    cluster.changeLeader();
    cluster.fail(cluster.running('web')[0] as Task);
    cluster.run(60_000);
    assert.deepEqual(given(), ['a', 'b', 'c']);
    cluster.edit('node', 'n1', { description: described(2).description });
    cluster.run(60_000);
    assert.deepEqual(given(), ['a', 'b']);
  });

  for (const order of [UpdateOrder.STOP_FIRST, UpdateOrder.START_FIRST])
    it(`marked tasks move in pace, ${order === UpdateOrder.STOP_FIRST ? 'stop-first' : 'start-first'}, across a change of leader`, () => {
      const cluster = clusterWith(1);
      const update = UpdateConfig.create({ order, parallelism: 2 });
      declare(cluster, 'web', { replicas: 8, update });
      cluster.run(5000);
      for (const id of ['n2', 'n3', 'n4']) cluster.create('node', node(id));
      const moving = cluster.running('web').slice(0, 6);
      for (const { id } of moving) cluster.edit('task', id, { moveReason: 'others are empty' });
      let fewest = 8;
      for (let round = 0; round < 200; round++) {
        cluster.settle();
        if (round === 5) cluster.changeLeader();
        cluster.stepAgents();
        cluster.nowMs += 100;
        fewest = Math.min(
          fewest,
          cluster.tasks('web').filter((task) => task.status?.state === TaskState.RUNNING).length,
        );
      }
      assert.ok(fewest >= (order === UpdateOrder.STOP_FIRST ? 6 : 8), `${fewest} ran`);
      assert.equal(cluster.running('web').length, 8);
      assert.ok(cluster.tasks('web').every(({ moveReason }) => moveReason === ''));
      const perNode = new Map<string, number>();
      for (const { nodeId } of cluster.running('web')) perNode.set(nodeId, (perNode.get(nodeId) ?? 0) + 1);
      assert.deepEqual([...perNode.values()], [2, 2, 2, 2]);
      assert.match(
        cluster.tasks('web').find(({ evictReason }) => evictReason !== '')?.evictReason ?? '',
        /^rebalanced: others are empty$/,
      );
    });
});
