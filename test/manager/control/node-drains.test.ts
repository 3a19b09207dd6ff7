/**
 * Goal: what is asked of a node's availability is checked, and a drain that begins knows nothing of an earlier one.
 * Method: the decision on stored objects.
 */
import assert from 'node:assert/strict';
import { UpdateNodeRequest } from '#gen/swarm/v1/control.ts';
import { Cluster, DrainStatus, Node } from '#gen/swarm/v1/objects.ts';
import { DrainSpec, NodeAvailability, NodeRole, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { updateNode } from '#manager/control/nodes.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const { ACTIVE, PAUSE, DRAIN } = NodeAvailability;
const OVER = DrainStatus.create({ startedAtMs: 1, completedAtMs: 2, total: 3 });

function asked(before: Partial<Node>, spec: Partial<NodeSpec>, featureLevel = 5): Node {
  const view = new MemoryView();
  view.commit([
    { kind: 'create', table: 'cluster', object: Cluster.create({ id: 'c', featureLevel }) },
    { kind: 'create', table: 'node', object: Node.create({ id: 'n', spec: NodeSpec.create(), ...before }) },
  ]);
  const { version = 0 } = view.get('node', 'n') ?? {};
  const desiredRole = view.get('node', 'n')?.spec?.desiredRole ?? NodeRole.UNSPECIFIED;
  const request = UpdateNodeRequest.create({ id: 'n', version, spec: NodeSpec.create({ desiredRole, ...spec }) });
  return updateNode(view, request, []).result;
}

describe('control: drains', () => {
  it('a drain that begins forgets the one before; one that goes on, or ends, is the leader’s to write', () => {
    const active = { spec: NodeSpec.create({ availability: ACTIVE }), drain: OVER };
    const drained = { spec: NodeSpec.create({ availability: DRAIN }), drain: OVER };
    assert.equal(asked(active, { availability: DRAIN }).drain, undefined);
    assert.equal(asked(drained, { availability: DRAIN, labels: { a: 'b' } }).drain, OVER);
    for (const availability of [ACTIVE, PAUSE]) assert.equal(asked(drained, { availability }).drain, OVER);
  });

  it('refuses availabilities that there are not', () => {
    for (const availability of [4, -1, 99] as readonly number[])
      assert.throws(() => asked({}, { availability: availability as NodeAvailability }), {
        name: 'SwarmError',
        reason: 'bad-field',
        field: 'availability',
      });
  });

  it('below level 5 refuses what managers would not know, and lets nodes be drained as before', () => {
    const drain = DrainSpec.create({ parallelism: 1 });
    assert.throws(() => asked({}, { availability: DRAIN, drain }, 4), { reason: 'feature-level', field: 'drain' });
    assert.equal(asked({}, { availability: DRAIN }, 4).spec?.availability, DRAIN);
    assert.deepEqual(asked({}, { availability: DRAIN, drain }).spec?.drain, drain);
  });
});
