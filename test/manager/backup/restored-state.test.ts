/** What becomes of a state that one host takes over: who is a manager, who is down, and that nothing else changes. */
import assert from 'node:assert/strict';
import { type Node, NodeState } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { restoredState } from '#manager/backup/index.ts';
import { nodeObject, sampleState } from './support.ts';

const NOW_MS = 9000;

describe('manager/backup: restoring', () => {
  const saved = sampleState();
  const init = { node: nodeObject('new', NodeRole.MANAGER, NodeState.UNKNOWN), nowMs: NOW_MS, transactionId: 5 };
  const { state, formerManagers } = restoredState(saved, init);
  const node = (id: string): Node => {
    const found = state.get('node', id);
    assert.ok(found !== undefined, id);
    return found;
  };

  it('makes the host the only manager', () => {
    const managers = [...state.all('node')].filter(
      ({ role, spec }) => role === NodeRole.MANAGER || spec?.desiredRole === NodeRole.MANAGER,
    );
    assert.deepEqual(
      managers.map(({ id }) => id),
      ['new'],
    );
    assert.equal(node('new').createdAtMs, NOW_MS);
  });

  it('makes workers of the managers, which are down and keep their labels', () => {
    assert.deepEqual(
      formerManagers.map(({ id }) => id),
      ['m1', 'm2'],
    );
    for (const id of ['m1', 'm2']) {
      assert.equal(node(id).status?.state, NodeState.DOWN);
      assert.equal(node(id).managerStatus, undefined);
      assert.match(node(id).status?.message ?? '', /restored from a snapshot/);
      assert.deepEqual(node(id).spec?.labels, { zone: id });
      assert.equal(node(id).createdAtMs, 5);
    }
  });

  it('waits for the workers that were up, and not for those that were down', () => {
    assert.equal(node('w1').status?.state, NodeState.UNKNOWN);
    assert.equal(node('w2').status?.state, NodeState.DOWN);
    assert.equal(node('w2').status?.message, saved.get('node', 'w2')?.status?.message);
  });

  it('leaves cluster, services and tasks alone', () => {
    for (const table of ['cluster', 'service', 'revision', 'task'] as const)
      assert.deepEqual([...state.all(table)], [...saved.all(table)]);
  });

  it('goes on with versions that nobody has seen, and another transaction', () => {
    assert.ok(state.version > saved.version + 1_000_000);
    assert.equal(state.transactionId, 5);
    assert.equal(node('m1').version, state.version);
  });
});
