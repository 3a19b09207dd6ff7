/**
 * Goal: the tasks of a lost node are replaced when nobody waits for it any longer, not before, and where two at once
 * would do harm only when the old one has surely stopped. Method: all loops on an in-memory store; how long nodes were
 * silent the test says, as the dispatcher would.
 */
import assert from 'node:assert/strict';
import { Cluster, type Node, NodeState, NodeStatus, TaskState } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, DispatcherConfig, UpdateConfig, UpdateOrder } from '#gen/swarm/v1/specs.ts';
import { removeNode } from '#manager/control/nodes.ts';
import { fenceMs, replacedAfterMs } from '#manager/orchestrator/index.ts';
import { LoopCluster } from '#test/manager/loops/loop-cluster.ts';
import { node, revision, type SpecOptions, service, spec } from '#test/manager/loops/objects.ts';

const GRACE_MS = 30_000;
const LIMIT_MS = 20_000;

function clusterSpec(replaceAfterMs: number | undefined): ClusterSpec {
  return ClusterSpec.create({ dispatcher: DispatcherConfig.create({ replaceAfterMs }) });
}

class LossCluster extends LoopCluster {
  constructor(replaceAfterMs: number | undefined, options: SpecOptions) {
    super();
    this.create('cluster', Cluster.create({ id: 'cluster', featureLevel: 5, spec: clusterSpec(replaceAfterMs) }));
    for (const id of ['n1', 'n2', 'n3']) this.create('node', described(node(id)));
    const declared = spec({ name: 'web', ...options });
    this.create('service', service('web', declared));
    this.create('revision', revision('web', 1, declared));
    this.run(10_000);
  }

  replaceAfter(replaceAfterMs: number | undefined): void {
    this.edit('cluster', 'cluster', { spec: clusterSpec(replaceAfterMs) });
    this.run(1000);
  }

  silent(id: string, silentMs: number, state: NodeState = NodeState.DOWN): void {
    this.edit('node', id, { status: NodeStatus.create({ state, silentMs, sinceMs: this.nowMs }) });
    this.run(1000);
  }

  back(id: string): void {
    this.setNodeState(id, NodeState.READY);
    const { status } = this.store.get('node', id) as Node;
    this.edit('node', id, { status: NodeStatus.create({ ...status, silentMs: 0 }) });
    this.run(60_000);
  }

  get host(): string {
    return this.wanted('web')[0]?.nodeId ?? '';
  }
}

/** With an agent that understands all that a task may ask for. */
function described(one: Node): Node {
  return one.description === undefined ? one : { ...one, description: { ...one.description, featureLevel: 5 } };
}

describe('orchestrator: nodes that are lost', () => {
  it('without a grace, tasks are replaced as soon as their node is down', () => {
    const cluster = new LossCluster(undefined, { replicas: 1 });
    const { host } = cluster;
    cluster.silent(host, 5000);
    assert.notEqual(cluster.host, host);
  });

  it('one that is back within the grace keeps its tasks, and nothing was made besides', () => {
    const cluster = new LossCluster(GRACE_MS, { replicas: 3 });
    const before = cluster.tasks('web').map(({ id }) => id);
    cluster.silent('n1', 5000);
    cluster.silent('n1', GRACE_MS - 1);
    assert.deepEqual(
      cluster.tasks('web').map(({ id }) => id),
      before,
    );
    cluster.back('n1');
    assert.deepEqual(
      cluster.running('web').map(({ id }) => id),
      before,
    );
  });

  it('after the grace they are replaced; the old ones are told to stop when the node is back', () => {
    const cluster = new LossCluster(GRACE_MS, { replicas: 1 });
    const { host } = cluster;
    cluster.silent(host, GRACE_MS);
    assert.notEqual(cluster.host, host);
    assert.equal(cluster.running('web').length, 1);
    cluster.back(host);
    assert.deepEqual([...(cluster.containers.get(host) ?? [])], []);
  });

  it('the grace does not hang on the wall clock', () => {
    const cluster = new LossCluster(GRACE_MS, { replicas: 1 });
    const { host } = cluster;
    cluster.silent(host, 5000);
    cluster.nowMs += 3_600_000;
    cluster.run(10_000);
    assert.equal(cluster.host, host);
    cluster.nowMs -= 7_200_000;
    cluster.silent(host, GRACE_MS);
    assert.notEqual(cluster.host, host);
  });

  it('a shorter grace holds at once for nodes that are down', () => {
    const cluster = new LossCluster(10 * GRACE_MS, { replicas: 1 });
    const { host } = cluster;
    cluster.silent(host, GRACE_MS);
    assert.equal(cluster.host, host);
    cluster.replaceAfter(GRACE_MS);
    assert.notEqual(cluster.host, host);
  });

  it('one that took its leave is not waited for', () => {
    const cluster = new LossCluster(GRACE_MS, { replicas: 1 });
    const { host } = cluster;
    cluster.silent(host, 0, NodeState.DISCONNECTED);
    assert.notEqual(cluster.host, host);
  });

  it('a change of leader within the grace changes nothing', () => {
    const cluster = new LossCluster(GRACE_MS, { replicas: 1 });
    const { host } = cluster;
    cluster.silent(host, 5000);
    cluster.changeLeader();
    cluster.run(60_000);
    assert.equal(cluster.host, host);
  });
});

describe('orchestrator: tasks that stop without managers', () => {
  const options = { replicas: 1, task: { stopAfterDisconnectMs: LIMIT_MS } };
  const fence = fenceMs(spec(options));

  it('are waited for longer than they can take, whatever the swarm’s grace is', () => {
    assert.ok(fence > (LIMIT_MS + 10_000) * 1.1, 'limit, grace period, and clocks that go apart');
    assert.equal(replacedAfterMs(spec(options), NodeState.DOWN, 10 * fence), fence);
    assert.equal(replacedAfterMs(spec(options), NodeState.DISCONNECTED, 0), fence);
    assert.equal(fenceMs(spec()), 0);
  });

  it('are replaced when they have surely stopped', () => {
    const cluster = new LossCluster(undefined, options);
    const { host } = cluster;
    for (const silentMs of [5000, LIMIT_MS, fence - 1]) cluster.silent(host, silentMs);
    assert.equal(cluster.host, host);
    cluster.silent(host, fence);
    assert.notEqual(cluster.host, host);
    assert.equal(cluster.running('web').length, 1);
  });

  it('are replaced at once when their node says that it has stopped them', () => {
    const cluster = new LossCluster(undefined, options);
    const { host } = cluster;
    cluster.silent(host, 5000);
    const [task] = cluster.wanted('web');
    assert.ok(task !== undefined);
    cluster.report(task, TaskState.SHUTDOWN, { error: 'stopped: no manager for 20 s' });
    cluster.run(1000);
    assert.notEqual(cluster.wanted('web')[0]?.id, task.id);
  });

  it('node rm does not take the node away from under them, and says when it may', () => {
    const cluster = new LossCluster(undefined, options);
    const { host } = cluster;
    const remove = (force: boolean): void =>
      cluster.commit(...removeNode(cluster.store, { reference: host, force }, '', cluster.nowMs, []).changes);
    for (const state of [NodeState.DISCONNECTED, NodeState.DOWN])
      for (const silentMs of [0, 5000, fence - 1]) {
        cluster.silent(host, silentMs, state);
        assert.throws(() => remove(false), {
          reason: 'needs-force',
          message: /may still run web\.1, .* in \d+m?\d*s$/,
        });
        assert.equal(cluster.host, host);
      }
    cluster.silent(host, fence);
    remove(false);
    assert.equal(cluster.store.get('node', host), undefined);
    assert.equal(cluster.running('web').length, 1);
  });

  it('by force, or once they have stopped, or where nothing is waited for, it does', () => {
    const remove = (cluster: LossCluster, force: boolean): void => {
      const reference = cluster.host;
      cluster.silent(reference, 5000);
      if (!force) for (const task of cluster.wanted('web')) cluster.report(task, TaskState.SHUTDOWN);
      cluster.commit(...removeNode(cluster.store, { reference, force }, '', cluster.nowMs, []).changes);
    };
    for (const force of [true, false]) remove(new LossCluster(undefined, options), force);
    const cluster = new LossCluster(GRACE_MS, { replicas: 1 });
    cluster.silent(cluster.host, 5000);
    const reference = cluster.host;
    cluster.commit(...removeNode(cluster.store, { reference, force: false }, '', cluster.nowMs, []).changes);
  });

  it('an update, or a smaller number and a larger one again, brings none beside them', () => {
    for (const change of ['update', 'scale'] as const) {
      const cluster = new LossCluster(undefined, options);
      const { host } = cluster;
      cluster.silent(host, 5000);
      if (change === 'update') {
        const declared = spec({ name: 'web', image: 'image:2', ...options });
        cluster.create('revision', revision('web', 2, declared));
        cluster.edit('service', 'web', { spec: declared, revision: 2 });
      } else
        for (const replicas of [0, 1]) {
          cluster.edit('service', 'web', { spec: spec({ name: 'web', ...options, replicas }) });
          cluster.run(1000);
        }
      cluster.run(3_600_000);
      const others = (): number => [...cluster.containers].filter(([id, { size }]) => id !== host && size > 0).length;
      assert.equal(others(), 0, `${change}: the old one may still run`);
      cluster.silent(host, fence);
      cluster.run(60_000);
      assert.equal(others(), 1, change);
    }
  });

  it('one that is told to stop by a node that is there is waited for as long as it takes', () => {
    const cluster = new LossCluster(undefined, options);
    const { host } = cluster;
    cluster.stepAgents = () => 0; // nobody does anything
    const declared = spec({ name: 'web', image: 'image:2', ...options });
    cluster.create('revision', revision('web', 2, declared));
    cluster.edit('service', 'web', { spec: declared, revision: 2 });
    cluster.run(24 * 3_600_000);
    assert.equal(cluster.containers.get(host)?.size, 1);
    const [held] = cluster.wanted('web');
    assert.equal(held?.desiredState, TaskState.READY);
    assert.match(held?.holdReason ?? '', /waiting for task/);
  });

  it('automatic order of updates takes them one after the other', () => {
    const update = UpdateConfig.create({ order: UpdateOrder.AUTO });
    const cluster = new LossCluster(undefined, { ...options, update });
    const declared = spec({ name: 'web', image: 'image:2', ...options, update });
    cluster.create('revision', revision('web', 2, declared));
    cluster.edit('service', 'web', { spec: declared, revision: 2 });
    let most = 0;
    for (let round = 0; round < 40; round++) {
      cluster.settle();
      cluster.stepAgents();
      most = Math.max(
        most,
        [...cluster.containers.values()].reduce((sum, { size }) => sum + size, 0),
      );
    }
    assert.equal(most, 1);
    assert.equal(cluster.running('web')[0]?.revision, 2);
  });
});
