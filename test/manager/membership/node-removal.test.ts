/** How long a removed node's certificates are refused: for as long as any of them may hold. */
import assert from 'node:assert/strict';
import { LIMITS } from '#common/limits.ts';
import { SeededRandom } from '#common/random.ts';
import { type Cluster, type Node, Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { CaConfig, ClusterSpec, NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { bootstrapCluster } from '#manager/ca/index.ts';
import { removalChanges, removedNodeIds } from '#manager/membership/index.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const NOW_MS = Date.UTC(2030, 0, 1);

function made(nodeCertExpiryMs: number): { readonly view: MemoryView; readonly node: Node; readonly cluster: Cluster } {
  const { cluster, node } = bootstrapCluster({
    nowMs: NOW_MS,
    random: new SeededRandom(3),
    hostname: 'one',
    availability: NodeAvailability.ACTIVE,
    featureLevel: 5,
    spec: ClusterSpec.create({ ca: CaConfig.create({ nodeCertExpiryMs }) }),
  });
  const view = new MemoryView();
  view.commit([
    { kind: 'create', table: 'cluster', object: cluster },
    { kind: 'create', table: 'node', object: node },
  ]);
  const [stored] = [...view.all('node')];
  assert.ok(stored);
  return { view, node: stored, cluster };
}

/** Days from the removal on. */
function refusedFor(view: MemoryView, node: Node, nowMs: number): number {
  view.commit(removalChanges(view, node, nowMs));
  const removed = view.cluster()?.removedNodes.find(({ nodeId }) => nodeId === node.id);
  assert.ok(removed);
  assert.equal(removed.removedAtMs, nowMs);
  return (removed.expiresAtMs - nowMs) / DAY_MS;
}

describe('removed nodes', () => {
  it('are refused for as long as the longest certificate that they were given holds, and a week for clocks', () => {
    const { view, node } = made(90 * DAY_MS);
    const remembered = { ...node, certificatesUntilMs: NOW_MS + 365 * DAY_MS };
    assert.equal(refusedFor(view, remembered, NOW_MS + 5 * DAY_MS), 360 + 7);
  });

  it('of short certificates are forgotten soon', () => {
    const { view, node } = made(2 * DAY_MS);
    assert.equal(refusedFor(view, { ...node, certificatesUntilMs: NOW_MS + 2 * DAY_MS }, NOW_MS + DAY_MS), 1 + 7);
  });

  it('that an older release kept no account of are refused for as long as it may have given', () => {
    const { view, node } = made(365 * DAY_MS);
    assert.equal(refusedFor(view, { ...node, certificatesUntilMs: 0 }, NOW_MS + DAY_MS), 365 + 7);
    const short = made(2 * DAY_MS);
    assert.equal(refusedFor(short.view, { ...short.node, certificatesUntilMs: 0 }, NOW_MS), 90 + 7);
  });

  it('are on the list once, and leave it when their time is up', () => {
    const { view, node, cluster } = made(90 * DAY_MS);
    const stale = { nodeId: 'old', removedAtMs: 1, expiresAtMs: NOW_MS - 1 };
    const before = { nodeId: node.id, removedAtMs: 1, expiresAtMs: NOW_MS + DAY_MS };
    const version = view.cluster()?.version ?? 0;
    view.commit([{ kind: 'update', table: 'cluster', object: { ...cluster, version, removedNodes: [stale, before] } }]);
    refusedFor(view, node, NOW_MS);
    assert.deepEqual(
      view.cluster()?.removedNodes.map(({ nodeId }) => nodeId),
      [node.id],
    );
  });

  it('are remembered up to a number: first go those whose time is over, then those that went first', () => {
    const { view, node, cluster } = made(90 * DAY_MS);
    const gone = (index: number, expiresAtMs: number) => ({ nodeId: `n${index}`, removedAtMs: index, expiresAtMs });
    const list = Array.from({ length: LIMITS.REMOVED_NODES }, (_, index) => gone(index, NOW_MS + DAY_MS));
    const after = (removedNodes: Cluster['removedNodes']): readonly string[] => {
      const version = view.cluster()?.version ?? 0;
      view.commit([{ kind: 'update', table: 'cluster', object: { ...cluster, version, removedNodes } }]);
      const change = removalChanges(view, node, NOW_MS).find(({ table }) => table === 'cluster');
      assert.ok(change?.table === 'cluster' && change.kind === 'update');
      assert.equal(change.object.removedNodes.length, LIMITS.REMOVED_NODES);
      return change.object.removedNodes.map(({ nodeId }) => nodeId);
    };
    assert.deepEqual(after(list), [...list.slice(1).map(({ nodeId }) => nodeId), node.id]);
    const over = list.with(7, gone(7, NOW_MS - 1));
    const left = over.filter(({ nodeId }) => nodeId !== 'n7').map(({ nodeId }) => nodeId);
    assert.deepEqual(after(over), [...left, node.id]);
  });

  it('are found without a look at all of them, as long as the list is the same', () => {
    const { cluster } = made(90 * DAY_MS);
    const removedNodes = [{ nodeId: 'a', removedAtMs: 1, expiresAtMs: NOW_MS }];
    const ids = removedNodeIds({ ...cluster, removedNodes });
    assert.deepEqual([...ids], ['a']);
    assert.equal(removedNodeIds({ removedNodes }), ids, 'of another version of the cluster');
    const another = [...removedNodes, { nodeId: 'b', removedAtMs: 2, expiresAtMs: NOW_MS }];
    assert.deepEqual([...removedNodeIds({ ...cluster, removedNodes: another })], ['a', 'b']);
  });

  it('with more tasks than a transaction takes go all the same', () => {
    const { view, node } = made(90 * DAY_MS);
    for (let i = 0; i < LIMITS.CHANGES_PER_TRANSACTION + 50; i++) {
      const status = TaskStatus.create({ state: TaskState.RUNNING });
      view.commit([
        {
          kind: 'create',
          table: 'task',
          object: Task.create({ id: `t${i}`, nodeId: node.id, serviceId: 's', status }),
        },
      ]);
    }
    const changes = removalChanges(view, node, NOW_MS);
    assert.equal(changes.length, LIMITS.CHANGES_PER_TRANSACTION);
    view.commit(changes);
    const orphans = [...view.tasksOfNode(node.id)].filter(({ status }) => status?.state === TaskState.ORPHANED);
    assert.equal(orphans.length, LIMITS.CHANGES_PER_TRANSACTION - 2);
  });
});
