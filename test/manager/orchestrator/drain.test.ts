/**
 * Goal: a node that is drained is left in pace: nothing stops before what takes its place is there, no service loses more
 * than its updates would, and what cannot go is named and stays. Method: all loops with agents under virtual time.
 */
import assert from 'node:assert/strict';
import { NodeState, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import {
  ClusterSpec,
  DispatcherConfig,
  EndpointSpec,
  GlobalJobMode,
  NetworkAttachmentSpec,
  ReplicatedJobMode,
  RestartCondition,
  RestartPolicy,
  UpdateConfig,
  UpdateOrder,
} from '#gen/swarm/v1/specs.ts';
import { DEFAULT_ORCHESTRATOR_CONFIG } from '#manager/orchestrator/index.ts';
import { hostPort, node, pendingTask, revision, spec } from '#test/manager/loops/objects.ts';
import { DrainCluster } from './drain-cluster.ts';

const STOP_FIRST = UpdateConfig.create({ order: UpdateOrder.STOP_FIRST });
/** Of a job that is at work for an hour. */
const LATE = { afterMs: 3_600_000, state: TaskState.COMPLETE };
const START_FIRST = UpdateConfig.create({ order: UpdateOrder.START_FIRST });

/** Loops and agents step by step, with a look after each, until nothing moves. */
function watch(cluster: DrainCluster, look: () => void): void {
  for (let round = 0; round < 500; round++) {
    const settled = cluster.settle();
    look();
    if (settled + cluster.stepAgents() === 0) return;
    look();
  }
  assert.fail('no rest');
}

describe('orchestrator: drains', () => {
  it('start-first: every task runs elsewhere before it stops here; at the end the node is empty and says so', () => {
    const cluster = new DrainCluster(3);
    cluster.declare('web', { replicas: 6, update: { ...START_FIRST, parallelism: 2 } });
    cluster.run(10_000);
    const there = cluster.on('n1');
    cluster.drain('n1');
    let most = 0;
    watch(cluster, () => {
      assert.equal(cluster.healthySlots('web'), 6);
      most = Math.max(most, cluster.leaving('n1').length);
      assert.ok(cluster.leaving('n1').length <= 2, 'as the updates of the service');
    });
    assert.equal(most, 2);
    const { drain } = cluster.node('n1');
    assert.deepEqual([cluster.on('n1'), drain?.total, drain?.left, drain?.message], [0, there, 0, '']);
    assert.ok((drain?.completedAtMs ?? 0) >= (drain?.startedAtMs ?? 0) && (drain?.startedAtMs ?? 0) > 0);
  });

  it('stop-first: one slot after the other, each once its place elsewhere is prepared; no two of a slot at a time', () => {
    const cluster = new DrainCluster(2);
    cluster.declare('db', { replicas: 4, update: STOP_FIRST });
    cluster.run(10_000);
    cluster.drain('n1');
    watch(cluster, () => {
      assert.ok(cluster.healthySlots('db') >= 3);
      for (const task of cluster.tasks('db')) {
        const before = cluster.store.get('task', task.replaces);
        const hasRoom = before === undefined || (before.status?.state ?? 0) > TaskState.RUNNING;
        assert.ok(hasRoom || task.desiredState !== TaskState.RUNNING, 'told to run when the other has stopped');
        if (task.desiredState !== TaskState.SHUTDOWN || task.nodeId !== 'n1') continue;
        const next = cluster.tasks('db').find(({ replaces }) => replaces === task.id);
        assert.ok((next?.status?.state ?? 0) >= TaskState.READY, 'prepared before anything stops');
      }
      const slots = [...cluster.containers.values()].flatMap((ids) =>
        [...ids].map((id) => cluster.store.get('task', id)?.slot),
      );
      assert.equal(new Set(slots).size, slots.length);
    });
    assert.deepEqual([cluster.on('n1'), cluster.on('n2')], [0, 4]);
  });

  it('stop-first, told to hurry on the way: what was prepared runs when the other has stopped, not before', () => {
    for (const steps of [1, 2, 3, 4]) {
      const cluster = new DrainCluster(2);
      cluster.declare('db', { replicas: 2, update: STOP_FIRST });
      cluster.run(10_000);
      cluster.drain('n1');
      for (let step = 0; step < steps; step++) {
        cluster.settle();
        cluster.stepAgents();
      }
      cluster.drain('n1', 0);
      watch(cluster, () => {
        for (const task of cluster.wanted('db')) {
          const before = cluster.store.get('task', task.replaces);
          const hasRoom = before === undefined || (before.status?.state ?? 0) > TaskState.RUNNING;
          assert.ok(hasRoom || task.desiredState !== TaskState.RUNNING);
        }
      });
      assert.deepEqual([cluster.on('n1'), cluster.on('n2')], [0, 2]);
    }
  });

  it('of many services no more tasks are on their way than the node’s drain says, or the default', () => {
    for (const parallelism of [undefined, 1, 3]) {
      const cluster = new DrainCluster(2);
      for (let number = 0; number < 12; number++) cluster.declare(`s${number}`, { replicas: 1 });
      cluster.run(10_000);
      cluster.drain('n1', parallelism);
      let most = 0;
      watch(cluster, () => {
        most = Math.max(most, cluster.leaving('n1').length);
      });
      assert.equal(most, parallelism ?? DEFAULT_ORCHESTRATOR_CONFIG.drainParallelism);
      assert.equal(cluster.on('n1'), 0);
    }
  });

  it('parallelism 0: all at once, and nothing is waited for', () => {
    const cluster = new DrainCluster(2);
    cluster.declare('web', { replicas: 8, update: STOP_FIRST });
    cluster.declare('agent', { global: true });
    cluster.declare('pinned', { replicas: 1, constraints: ['node.hostname == n1'] });
    cluster.run(10_000);
    cluster.drain('n1', 0);
    cluster.settle();
    const wanted = cluster.wanted().filter(({ nodeId }) => nodeId === 'n1');
    assert.equal(wanted.length, 0);
    cluster.run(10_000);
    assert.deepEqual([cluster.on('n1'), cluster.node('n1').drain?.left], [0, 0]);
  });

  it('waits while others of the service are not healthy, and says so; what is not healthy itself goes at once', () => {
    const cluster = new DrainCluster(3, { isReady: () => true });
    cluster.declare('web', { replicas: 3, update: START_FIRST });
    cluster.run(10_000);
    const [other] = cluster.running('web').filter(({ nodeId }) => nodeId !== 'n1');
    assert.ok(other !== undefined);
    cluster.setReady(other, false);
    cluster.drain('n1');
    cluster.run(10_000);
    assert.equal(cluster.on('n1'), 1);
    assert.match(cluster.node('n1').drain?.message ?? '', /^web\.\d: it waits for others of its service: 2 of 3 are/u);
    const sick = cluster.running('web').find(({ nodeId }) => nodeId === 'n1');
    assert.ok(sick !== undefined);
    cluster.setReady(sick, false);
    cluster.run(10_000);
    assert.equal(cluster.on('n1'), 0, 'nobody misses it');
  });

  it('a task that fits nowhere else stays, with the reason; it holds up no other service, and goes when it can', () => {
    for (const update of [STOP_FIRST, START_FIRST]) {
      const cluster = new DrainCluster(2);
      cluster.declare('pinned', { replicas: 2, constraints: ['node.hostname == n1'], update });
      cluster.declare('web', { replicas: 6, update });
      cluster.run(10_000);
      cluster.drain('n1', 1);
      cluster.run(60_000);
      const { drain } = cluster.node('n1');
      assert.equal(cluster.on('n1'), 2, 'the pinned ones');
      assert.match(drain?.message ?? '', /^pinned\.\d: no suitable node \(/u);
      assert.equal(drain?.left, 2);
      assert.equal(cluster.healthySlots('web') + cluster.healthySlots('pinned'), 8);
      cluster.create('node', node('n3', { hostname: 'n1' }));
      cluster.run(60_000);
      assert.deepEqual([cluster.on('n1'), cluster.on('n3') >= 2, cluster.node('n1').drain?.left], [0, true, 0]);
    }
  });

  it('ends when the node is active or paused again: what is there stays, without an interruption', () => {
    for (const update of [STOP_FIRST, START_FIRST]) {
      const cluster = new DrainCluster(2);
      cluster.declare('pinned', { replicas: 1, constraints: ['node.hostname == n1'], update });
      cluster.run(10_000);
      const [before] = cluster.running('pinned');
      cluster.drain('n1');
      cluster.run(10_000);
      assert.equal(cluster.wanted('pinned').length, 2, 'and one that waits');
      cluster.activate('n1');
      watch(cluster, () => assert.equal(cluster.running('pinned')[0]?.id, before?.id));
      assert.equal(cluster.wanted('pinned').length, 1);
      assert.equal(cluster.wanted('pinned')[0]?.evictReason, '');
      assert.equal(cluster.node('n1').drain, undefined);
    }
  });

  it('an end of a drain whose write meets another one is repeated: nothing leaves a node that takes tasks', () => {
    for (const update of [STOP_FIRST, START_FIRST]) {
      const cluster = new DrainCluster(2);
      cluster.declare('pinned', { replicas: 2, constraints: ['node.hostname == n1'], update });
      cluster.run(10_000);
      const before = cluster.running('pinned').map(({ id }) => id);
      cluster.drain('n1');
      cluster.run(10_000);
      assert.ok(cluster.leaving('n1').length > 0);
      // The health of a task is told while the leader writes.
      cluster.interfere = () => {
        for (const { id } of cluster.leaving('n1')) cluster.edit('task', id, {});
        if (cluster.conflicts > 2) cluster.interfere = undefined;
      };
      cluster.activate('n1');
      cluster.run(10_000);
      assert.ok(cluster.conflicts > 2);
      assert.deepEqual([cluster.leaving('n1').length, cluster.node('n1').drain], [0, undefined]);
      cluster.create('node', node('n3', { hostname: 'n1' }));
      cluster.run(60_000);
      assert.deepEqual(
        cluster.running('pinned').map(({ id }) => id),
        before,
      );
    }
  });

  it('global services stop last, others before; containers of swarm run stay', () => {
    const cluster = new DrainCluster(2);
    cluster.declare('agent', { global: true });
    cluster.declare('web', { replicas: 4 });
    cluster.run(10_000);
    cluster.drain('n1', 1);
    watch(cluster, () => {
      const isThere = cluster.running('web').some(({ nodeId }) => nodeId === 'n1');
      if (isThere) assert.ok(cluster.running('agent').some(({ nodeId }) => nodeId === 'n1'));
    });
    assert.deepEqual([cluster.on('n1'), cluster.running('agent').length], [0, 1]);
    cluster.activate('n1');
    cluster.run(10_000);
    assert.equal(cluster.running('agent').length, 2);
  });

  it('a global task that ends on a drained node is not begun anew, and an update leaves the others there alone', () => {
    const cluster = new DrainCluster(2);
    cluster.declare('agent', { global: true });
    cluster.declare('pinned', { replicas: 1, constraints: ['node.hostname == n1'] });
    cluster.run(10_000);
    cluster.drain('n1');
    cluster.run(10_000);
    assert.equal(cluster.running('agent').length, 2, 'the pinned one may rely on it');
    const declared = spec({ name: 'agent', global: true, image: 'image:2' });
    const found = cluster.store.get('service', 'agent');
    assert.ok(found !== undefined);
    cluster.edit('service', 'agent', { spec: declared, revision: 2 });
    cluster.create('revision', revision('agent', 2, declared));
    cluster.run(60_000);
    assert.deepEqual(
      cluster
        .running('agent')
        .map(({ nodeId, revision: number }) => `${nodeId} ${number}`)
        .toSorted(),
      ['n1 1', 'n2 2'],
    );
    const old = cluster.running('agent').find(({ nodeId }) => nodeId === 'n1') as Task;
    cluster.fail(old);
    cluster.run(60_000);
    assert.equal(cluster.wanted('agent').length, 1);
  });

  it('jobs run to their end; their tasks that have not begun begin elsewhere; with parallelism 0 they stop', () => {
    const job = (): DrainCluster => {
      const cluster = new DrainCluster(2, { fate: () => ({ afterMs: 60_000, state: TaskState.COMPLETE }) });
      const value = ReplicatedJobMode.create({ totalCompletions: 4, maxConcurrent: 4 });
      cluster.declareJob('backup', { kind: 'replicatedJob', value });
      for (let round = 0; round < 12; round++) {
        cluster.settle();
        cluster.stepAgents();
      }
      assert.equal(cluster.running('backup').length, 4);
      return cluster;
    };
    const cluster = job();
    const there = cluster.on('n1');
    cluster.drain('n1');
    cluster.run(10_000);
    assert.equal(cluster.on('n1'), there);
    assert.match(cluster.node('n1').drain?.message ?? '', /^backup\.\d: a job, which runs to its end/u);
    cluster.run(120_000);
    assert.deepEqual([cluster.node('n1').drain?.left, cluster.tasks('backup').length], [0, 4]);
    const hasty = job();
    hasty.drain('n1', 0);
    hasty.run(10_000);
    assert.equal(hasty.on('n1'), 0);
  });

  it('a replacement that fails for good leaves the old one running', () => {
    for (const update of [STOP_FIRST, START_FIRST]) {
      const restart = RestartPolicy.create({ condition: RestartCondition.ANY, maxAttempts: 2, delayMs: 100 });
      const hangsAt = ({ nodeId }: Task) => (nodeId === 'n2' ? TaskState.ACCEPTED : undefined);
      const cluster = new DrainCluster(2, { hangsAt });
      cluster.pause('n2');
      cluster.declare('web', { replicas: 1, update, restart });
      cluster.run(10_000);
      const [before] = cluster.running('web');
      cluster.activate('n2');
      cluster.drain('n1');
      for (let round = 0; round < 8; round++) {
        cluster.run(5_000);
        const hanging = cluster
          .wanted('web')
          .find(({ nodeId, status }) => nodeId === 'n2' && status?.state === TaskState.ACCEPTED);
        if (hanging !== undefined) cluster.report(hanging, TaskState.REJECTED, { error: 'no such image' });
      }
      cluster.run(600_000);
      assert.equal(cluster.running('web')[0]?.id, before?.id);
      assert.match(cluster.node('n1').drain?.message ?? '', /^web\.1: its replacement was given up/u);
    }
  });

  it('fixed addresses are free when the old task has stopped: then its place is taken', () => {
    const cluster = new DrainCluster(2);
    const networks = [NetworkAttachmentSpec.create({ network: 'host', addresses: ['10.1.2.3'] })];
    cluster.declare('fixed', { replicas: 1, task: { networks } });
    cluster.run(10_000);
    const from = cluster.running('fixed')[0]?.nodeId ?? '';
    cluster.drain(from);
    cluster.run(60_000);
    assert.equal(cluster.on(from), 0);
  });

  it('a node that dies on the way is a lost node; the drain ends without it', () => {
    const cluster = new DrainCluster(3);
    cluster.declare('web', { replicas: 6, update: STOP_FIRST });
    cluster.run(10_000);
    cluster.drain('n1', 1);
    cluster.settle();
    cluster.setNodeState('n1', NodeState.DOWN);
    cluster.run(60_000);
    assert.equal(cluster.healthySlots('web'), 6);
    assert.equal(cluster.node('n1').drain?.left, 0);
  });

  it('a node that is dead, or dies on the way, ends its drain with tasks of global services and jobs, too', () => {
    for (const parallelism of [undefined, 0])
      for (const order of ['drained, then lost', 'lost, then drained'] as const) {
        const cluster = new DrainCluster(3, { fate: ({ serviceId }) => (serviceId === 'scan' ? LATE : undefined) });
        cluster.declare('web', { replicas: 6, update: STOP_FIRST });
        cluster.declare('agent', { global: true });
        cluster.declareJob('scan', { kind: 'globalJob', value: GlobalJobMode.create() });
        cluster.run(10_000);
        assert.equal(cluster.on('n1'), 4);
        const steps = [() => cluster.drain('n1', parallelism), () => cluster.setNodeState('n1', NodeState.DOWN)];
        for (const step of order === 'drained, then lost' ? steps : steps.toReversed()) {
          step();
          cluster.settle();
        }
        cluster.run(60_000);
        const { drain } = cluster.node('n1');
        assert.deepEqual([drain?.left, drain?.message, (drain?.completedAtMs ?? 0) > 0], [0, '', true], order);
        assert.equal(cluster.healthySlots('web'), 6);
        cluster.setNodeState('n1', NodeState.READY);
        cluster.run(60_000);
        assert.equal(cluster.on('n1'), 0, 'what was left behind is stopped when the node is back');
        assert.equal(cluster.running('agent').length, 2);
      }
  });

  it('a job of a drained node that is waited for runs on when the node is back in time', () => {
    const cluster = new DrainCluster(2, { fate: () => LATE });
    const dispatcher = DispatcherConfig.create({ replaceAfterMs: 30_000 });
    cluster.edit('cluster', 'cluster', { spec: ClusterSpec.create({ dispatcher }) });
    cluster.declareJob('scan', { kind: 'globalJob', value: GlobalJobMode.create() });
    cluster.run(10_000);
    cluster.drain('n1');
    cluster.setNodeState('n1', NodeState.DOWN);
    cluster.run(10_000);
    assert.equal(cluster.node('n1').drain?.left, 1);
    cluster.setNodeState('n1', NodeState.READY);
    cluster.run(10_000);
    assert.equal(cluster.running('scan').filter(({ nodeId }) => nodeId === 'n1').length, 1);
    // Nobody waits any longer.
    cluster.setNodeState('n1', NodeState.DOWN);
    cluster.run(10_000);
    assert.equal(cluster.node('n1').drain?.left, 1);
    cluster.edit('cluster', 'cluster', { spec: ClusterSpec.create() });
    cluster.run(10_000);
    assert.equal(cluster.node('n1').drain?.left, 0);
  });

  it('marks for a better place and drains share what a service can spare', () => {
    const cluster = new DrainCluster(3);
    cluster.declare('web', { replicas: 6, update: STOP_FIRST });
    cluster.run(10_000);
    for (const { id } of cluster.running('web')) cluster.edit('task', id, { moveReason: 'better elsewhere' });
    cluster.drain('n1', 3);
    watch(cluster, () => assert.ok(cluster.healthySlots('web') >= 5));
    assert.equal(cluster.on('n1'), 0);
    assert.ok(cluster.wanted('web').every(({ moveReason, evictReason }) => moveReason + evictReason === ''));
  });

  it('all nodes at once: ends, and each node says what keeps it', () => {
    const cluster = new DrainCluster(3);
    cluster.declare('web', { replicas: 6, update: START_FIRST });
    cluster.declare('db', { replicas: 2, update: STOP_FIRST });
    cluster.declare('edge', { replicas: 2, endpoint: EndpointSpec.create({ ports: [hostPort(80)] }) });
    cluster.declare('agent', { global: true });
    cluster.run(10_000);
    for (const id of ['n1', 'n2', 'n3']) cluster.drain(id);
    cluster.run(600_000);
    assert.deepEqual(
      [
        cluster.healthySlots('web'),
        cluster.healthySlots('db'),
        cluster.healthySlots('edge'),
        cluster.running('agent').length,
      ],
      [6, 2, 2, 3],
    );
    for (const id of ['n1', 'n2', 'n3'])
      assert.match(cluster.node(id).drain?.message ?? '', /no suitable node|waits for others/u, id);
  });

  it('below the level of drains nodes are left at once, and nothing new is written', () => {
    const cluster = new DrainCluster(2);
    cluster.edit('cluster', 'cluster', { featureLevel: 4 });
    cluster.declare('web', { replicas: 4, update: STOP_FIRST });
    cluster.run(10_000);
    cluster.drain('n1');
    cluster.settle();
    assert.equal(cluster.wanted('web').filter(({ nodeId }) => nodeId === 'n1').length, 0);
    cluster.run(10_000);
    assert.equal(cluster.node('n1').drain, undefined);
    assert.ok(cluster.tasks().every(({ evictGently }) => !evictGently));
    cluster.edit('cluster', 'cluster', { featureLevel: 5 });
    cluster.run(10_000);
    assert.equal(cluster.node('n1').drain?.left, 0);
  });

  it('a task that waits for its place elsewhere is none of the drain', () => {
    const cluster = new DrainCluster(1);
    cluster.drain('n1');
    cluster.declare('web', { replicas: 1 });
    cluster.create('task', pendingTask('stray', 'web', { slot: 9 }));
    cluster.run(10_000);
    assert.equal(cluster.node('n1').drain?.left, 0);
  });
});
