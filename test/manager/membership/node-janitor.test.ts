/** The leader's loop over nodes that do not come back: what it writes, when it looks, what it does when a write fails. */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import {
  Cluster,
  EngineDescription,
  Node,
  NodeDescription,
  NodeState,
  NodeStatus,
  Revision,
  Task,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, NodeConfig, NodeRole, NodeSpec, ServiceSpec, TaskSpec } from '#gen/swarm/v1/specs.ts';
import { CLEANUP_CONFIG, NodeJanitor } from '#manager/membership/index.ts';
import type { RoleMember } from '#manager/roles/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const { MANAGER, WORKER } = NodeRole;

describe('the loop over nodes that do not come back', () => {
  let view: MemoryView;
  let clock: ManualClock;
  let members: RoleMember[];
  let refuse: SwarmError | undefined;
  let beforeWrite: (() => void) | undefined;
  let janitor: NodeJanitor;
  const listeners = new Set<() => void>();

  const put = (id: string, role: NodeRole, state: NodeState): void => {
    const before = view.get('node', id);
    const object = Node.create({
      id,
      role,
      version: before?.version ?? 0,
      spec: before?.spec ?? NodeSpec.create({ desiredRole: role }),
      cleanedUp: before?.cleanedUp ?? false,
      status: NodeStatus.create({ state, sinceMs: clock.now() }),
      description: NodeDescription.create({ engine: EngineDescription.create() }),
    });
    view.commit([{ kind: before === undefined ? 'create' : 'update', table: 'node', object }]);
  };

  const setMembers = (reachable: Readonly<Record<string, boolean>>): void => {
    members = Object.entries(reachable).map(([nodeId, isReachable], index) => ({
      raftId: index + 1,
      nodeId,
      voter: true,
      reachable: isReachable,
      self: nodeId === 'a',
    }));
    for (const listener of listeners) listener();
  };

  const pass = async (ms: number): Promise<void> => {
    for (let leftMs = ms; leftMs > 0; leftMs -= 1000) {
      clock.advance(Math.min(leftMs, 1000));
      for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    }
  };

  beforeEach(() => {
    view = new MemoryView();
    clock = new ManualClock(1_900_000_000_000);
    refuse = undefined;
    beforeWrite = undefined;
    listeners.clear();
    const nodes = NodeConfig.create({
      pruneDownAfterMs: 120_000,
      cleanupDeadManagers: true,
      deadManagerAfterMs: 30_000,
      stabilizationMs: 5_000,
    });
    const object = Cluster.create({ id: 'c', featureLevel: 5, spec: ClusterSpec.create({ nodes }) });
    view.commit([{ kind: 'create', table: 'cluster', object }]);
    for (const id of ['a', 'b', 'c']) put(id, MANAGER, NodeState.READY);
    setMembers({ a: true, b: true, c: true });
    janitor = new NodeJanitor({
      store: {
        view: () => view,
        decide: async (change) => {
          beforeWrite?.();
          if (refuse !== undefined) throw refuse;
          const changes = change(view);
          if (changes.length > 0) view.commit(changes);
        },
        onCommit: () => () => {},
      },
      log: {
        members: () => members,
        onMembers: (listener) => {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
      },
      clock,
      random: new SeededRandom(1),
      logger: silentLogger,
      config: CLEANUP_CONFIG,
    });
    janitor.start();
  });

  afterEach(() => janitor.stop());

  it('removes a worker in time, and refuses it from then on', async () => {
    put('w', WORKER, NodeState.DOWN);
    await pass(119_000);
    assert.ok(view.get('node', 'w'));
    await pass(3_000);
    assert.equal(view.get('node', 'w'), undefined);
    assert.deepEqual(
      view.cluster()?.removedNodes.map(({ nodeId }) => nodeId),
      ['w'],
    );
  });

  it('demotes a dead manager, then removes it once the log is rid of it', async () => {
    put('c', MANAGER, NodeState.DOWN);
    setMembers({ a: true, b: true, c: false });
    await pass(29_000);
    assert.equal(view.get('node', 'c')?.spec?.desiredRole, MANAGER);
    await pass(3_000);
    assert.equal(view.get('node', 'c')?.spec?.desiredRole, WORKER);
    assert.equal(view.get('node', 'c')?.cleanedUp, true);
    // What the reconciler of roles does.
    setMembers({ a: true, b: true });
    put('c', WORKER, NodeState.DOWN);
    await pass(2_000);
    assert.equal(view.get('node', 'c'), undefined);
  });

  it('a new leader that has yet to hear of a manager on its way out does not remove it', async () => {
    put('c', MANAGER, NodeState.DOWN);
    setMembers({ a: true, b: true, c: false });
    await pass(32_000);
    setMembers({ a: true, b: true });
    put('c', WORKER, NodeState.READY);
    janitor.stop();
    // Every node is unknown to the next leader, until it is heard of.
    put('c', WORKER, NodeState.UNKNOWN);
    janitor.start();
    await pass(14_000);
    assert.equal(view.get('node', 'c')?.cleanedUp, true);
    put('c', WORKER, NodeState.READY);
    await pass(2_000);
    assert.equal(view.get('node', 'c')?.spec?.desiredRole, MANAGER);
    assert.equal(view.get('node', 'c')?.cleanedUp, false);
  });

  it('a worker whose task must not run twice goes when it has surely stopped', async () => {
    const declared = ServiceSpec.create({ task: TaskSpec.create({ stopAfterDisconnectMs: 3_600_000 }) });
    const revision = Revision.create({ id: 'r', serviceId: 's', number: 1, spec: declared });
    const status = TaskStatus.create({ state: TaskState.RUNNING });
    const task = Task.create({ id: 't', serviceId: 's', revision: 1, slot: 1, nodeId: 'w', status });
    put('w', WORKER, NodeState.DOWN);
    view.commit([
      { kind: 'create', table: 'revision', object: revision },
      { kind: 'create', table: 'task', object: task },
    ]);
    await pass(600_000);
    const node = view.get('node', 'w');
    assert.ok(node);
    const silent = NodeStatus.create({ ...node.status, silentMs: 5_000_000 });
    view.commit([{ kind: 'update', table: 'node', object: { ...node, status: silent } }]);
    await pass(2_000);
    assert.equal(view.get('node', 'w'), undefined);
  });

  it('lets a manager be that comes back on the way', async () => {
    put('c', MANAGER, NodeState.DOWN);
    setMembers({ a: true, b: true, c: false });
    await pass(32_000);
    assert.equal(view.get('node', 'c')?.cleanedUp, true);
    put('c', MANAGER, NodeState.READY);
    await pass(2_000);
    assert.equal(view.get('node', 'c')?.cleanedUp, false);
    assert.equal(view.get('node', 'c')?.spec?.desiredRole, MANAGER);
  });

  it('decides on what is when it writes: a node that came back meanwhile stays', async () => {
    put('w', WORKER, NodeState.DOWN);
    beforeWrite = () => put('w', WORKER, NodeState.READY);
    await pass(125_000);
    assert.ok(view.get('node', 'w'));
  });

  it('tries again when the write fails, and not once it does not lead any more', async () => {
    put('w', WORKER, NodeState.DOWN);
    refuse = new SwarmError({ code: 'unavailable', reason: 'no-quorum', message: 'no quorum' });
    await pass(130_000);
    assert.ok(view.get('node', 'w'));
    refuse = undefined;
    await pass(12_000);
    assert.equal(view.get('node', 'w'), undefined);
    put('v', WORKER, NodeState.DOWN);
    janitor.stop();
    await pass(200_000);
    assert.ok(view.get('node', 'v'));
    assert.equal(listeners.size, 0);
  });
});
