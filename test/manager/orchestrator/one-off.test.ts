/**
 * Goal: a container of `swarm run` gets its addresses and its place on its node, is left alone by the loops of services, and
 * goes when it is to. Method: all loops with agents under virtual time.
 */
import assert from 'node:assert/strict';
import { LIMITS } from '#common/limits.ts';
import { type Node, NodeState, OneOff, Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { IpamSpec, IpamSubnet, NetworkAttachmentSpec, NetworkSpec, NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { DEFAULT_ORCHESTRATOR_CONFIG } from '#manager/orchestrator/index.ts';
import { LoopCluster, type LoopClusterOptions } from '#test/manager/loops/loop-cluster.ts';
import { cluster as clusterObject, GIB, node, revision, type SpecOptions, spec } from '#test/manager/loops/objects.ts';

const { placeWithinMs, autoRemoveAfterMs } = DEFAULT_ORCHESTRATOR_CONFIG.oneOff;
const ENDS_SOON = { fate: () => ({ afterMs: 100, state: TaskState.COMPLETE }) };

function start(nodes: number, options: LoopClusterOptions = {}): LoopCluster {
  const cluster = new LoopCluster(options);
  cluster.create('cluster', {
    ...clusterObject(),
    featureLevel: 3,
    defaultAddressPools: ['10.0.0.0/16'],
    subnetSize: 24,
  });
  for (let i = 1; i <= nodes; i++) {
    const made = node(`n${i}`, { memoryBytes: 4 * GIB });
    cluster.create('node', { ...made, description: { ...made.description, featureLevel: 3 } as Node['description'] });
  }
  return cluster;
}

let count = 0;

function run(cluster: LoopCluster, id: string, nodeId: string, options: SpecOptions = {}, autoRemove = false): void {
  const number = ++count;
  cluster.create('revision', { ...revision('', number, spec({ name: id, ...options })), id: `${id}-r` });
  cluster.create(
    'task',
    Task.create({
      id,
      nodeId,
      revision: number,
      desiredState: TaskState.RUNNING,
      status: TaskStatus.create({ state: TaskState.NEW }),
      oneOff: OneOff.create({ name: id, autoRemove }),
    }),
  );
}

function stateOf(cluster: LoopCluster, id: string): TaskState | undefined {
  return cluster.store.get('task', id)?.status?.state;
}

/** Neither the task nor what it ran. */
function isGone(cluster: LoopCluster, id: string): boolean {
  const left = [...cluster.store.all('revision')].some(({ spec: declared }) => declared?.name === id);
  return cluster.store.get('task', id) === undefined && !left;
}

describe('orchestrator: containers of swarm run', () => {
  it('run on their node, with what it reserves counted, and are never started again', () => {
    const cluster = start(2, {
      fate: (task) => (task.id === 'a' ? { afterMs: 500, state: TaskState.FAILED } : undefined),
    });
    run(cluster, 'a', 'n1');
    run(cluster, 'b', 'n2', { memoryBytes: 3 * GIB });
    cluster.run(100);
    assert.equal(stateOf(cluster, 'a'), TaskState.RUNNING);
    run(cluster, 'c', 'n2', { memoryBytes: 3 * GIB });
    cluster.run(1000);
    assert.match(cluster.store.get('task', 'c')?.status?.error ?? '', /insufficient resources/);
    cluster.edit('task', 'b', { desiredState: TaskState.SHUTDOWN });
    cluster.run(60_000);
    assert.deepEqual(
      ['a', 'b', 'c'].map((id) => stateOf(cluster, id)),
      [TaskState.FAILED, TaskState.SHUTDOWN, TaskState.RUNNING],
    );
    assert.equal(cluster.tasks().length, 3);
  });

  it('get addresses of their networks, with their own names, and give them back', () => {
    const cluster = start(2);
    const subnets = [IpamSubnet.create({ subnet: '10.9.0.0/29' })];
    const declared = NetworkSpec.create({ name: 'crew', attachable: true, ipam: IpamSpec.create({ subnets }) });
    cluster.create('network', {
      id: 'net',
      version: 0,
      createdAtMs: 0,
      updatedAtMs: 0,
      spec: declared,
      vni: 0,
      subnets: [],
      problem: '',
    });
    const attach = (addresses: readonly string[] = []) => ({
      task: { networks: [NetworkAttachmentSpec.create({ network: 'net', aliases: ['smtp'], addresses })] },
    });
    run(cluster, 'a', 'n1', attach(['10.9.0.4']));
    cluster.run(1000);
    assert.deepEqual(cluster.store.get('task', 'a')?.networks, [
      { network: 'net', addresses: ['10.9.0.4'], aliases: ['smtp'] },
    ]);
    run(cluster, 'b', 'n1', attach(['10.9.0.4']));
    cluster.run(1000);
    assert.match(cluster.store.get('task', 'b')?.status?.error ?? '', /10\.9\.0\.4 .*container a/);
    cluster.edit('task', 'a', { desiredState: TaskState.SHUTDOWN });
    cluster.run(1000);
    assert.equal(stateOf(cluster, 'b'), TaskState.RUNNING);
    assert.deepEqual(cluster.store.get('task', 'b')?.networks[0]?.addresses, ['10.9.0.4']);
    // A service may take an address from a task of its own on a node that is lost. These have nothing to do with each other.
    cluster.setNodeState('n1', NodeState.DOWN);
    cluster.edit('task', 'b', { desiredState: TaskState.SHUTDOWN });
    run(cluster, 'c', 'n2', attach(['10.9.0.4']));
    cluster.run(1000);
    assert.match(cluster.store.get('task', 'c')?.status?.error ?? '', /container b/);
    cluster.edit('task', 'b', { desiredState: TaskState.REMOVE });
    cluster.run(1000);
    assert.equal(stateOf(cluster, 'c'), TaskState.RUNNING);
  });

  it('go by themselves when they ended, others stay until they are told to', () => {
    const cluster = start(1, ENDS_SOON);
    run(cluster, 'kept', 'n1');
    run(cluster, 'brief', 'n1', {}, true);
    cluster.run(1000);
    assert.deepEqual([stateOf(cluster, 'kept'), stateOf(cluster, 'brief')], [TaskState.COMPLETE, TaskState.COMPLETE]);
    cluster.run(autoRemoveAfterMs - 2000);
    assert.ok(!isGone(cluster, 'brief'));
    cluster.changeLeader();
    cluster.run(2000);
    assert.ok(isGone(cluster, 'brief'));
    cluster.run(7 * 24 * 3_600_000);
    assert.ok(!isGone(cluster, 'kept'));
    cluster.edit('task', 'kept', { desiredState: TaskState.REMOVE });
    cluster.run(1);
    assert.ok(isGone(cluster, 'kept'));
    assert.equal(cluster.store.count('revision'), 0);
  });

  it('that run and are to go end first', () => {
    const cluster = start(1);
    run(cluster, 'a', 'n1');
    cluster.run(1000);
    cluster.setNodeState('n1', NodeState.UNKNOWN);
    cluster.edit('task', 'a', { desiredState: TaskState.REMOVE });
    cluster.run(1000);
    assert.equal(stateOf(cluster, 'a'), TaskState.RUNNING, 'its node may still have it');
    cluster.setNodeState('n1', NodeState.READY);
    cluster.run(1000);
    assert.ok(isGone(cluster, 'a'));
    assert.equal(cluster.containers.get('n1')?.size, 0);
  });

  it('stay on a node that is drained, and as they were on one that is down; go with one that is removed', () => {
    const cluster = start(1);
    run(cluster, 'a', 'n1');
    run(cluster, 'b', 'n1');
    cluster.run(1000);
    cluster.edit('node', 'n1', { spec: { ...node('n1').spec, availability: NodeAvailability.DRAIN } as Node['spec'] });
    cluster.run(60_000);
    assert.equal(stateOf(cluster, 'a'), TaskState.RUNNING);
    assert.equal(cluster.store.get('task', 'a')?.evictReason, '');
    cluster.setNodeState('n1', NodeState.DOWN);
    cluster.run(60_000);
    assert.equal(stateOf(cluster, 'a'), TaskState.RUNNING);
    cluster.edit('task', 'b', { desiredState: TaskState.REMOVE });
    cluster.run(1);
    assert.ok(isGone(cluster, 'b'), 'nobody is there to be waited for');
    cluster.run(24 * 3_600_000);
    assert.equal(stateOf(cluster, 'a'), TaskState.ORPHANED);
    run(cluster, 'c', 'n1');
    cluster.remove('node', 'n1');
    cluster.run(1);
    assert.deepEqual(cluster.tasks(), []);
  });

  it('are not evicted from a node that shrank, and are given up when it has no place for them', () => {
    const cluster = start(1);
    run(cluster, 'a', 'n1', { memoryBytes: 3 * GIB });
    cluster.run(1000);
    const small = node('n1', { memoryBytes: GIB }).description;
    cluster.edit('node', 'n1', { description: { ...small, featureLevel: 3 } as Node['description'] });
    run(cluster, 'b', 'n1', { memoryBytes: GIB });
    cluster.run(placeWithinMs - 2000);
    assert.deepEqual([stateOf(cluster, 'a'), cluster.store.get('task', 'a')?.evictReason], [TaskState.RUNNING, '']);
    assert.match(cluster.store.get('task', 'b')?.status?.error ?? '', /insufficient resources/);
    cluster.changeLeader();
    cluster.run(3000);
    assert.ok(isGone(cluster, 'b'));
  });

  it('are kept after their end up to a number on each node, the newest', () => {
    const cluster = start(2, ENDS_SOON);
    for (let i = 0; i < LIMITS.ENDED_CONTAINERS_PER_NODE + 3; i++) {
      run(cluster, `a${i}`, 'n1');
      cluster.run(1000);
    }
    run(cluster, 'other', 'n2');
    cluster.run(1000);
    assert.equal(cluster.tasks().length, LIMITS.ENDED_CONTAINERS_PER_NODE + 1);
    assert.deepEqual(
      ['a0', 'a1', 'a2', 'a3'].map((id) => isGone(cluster, id)),
      [true, true, true, false],
    );
  });
});
