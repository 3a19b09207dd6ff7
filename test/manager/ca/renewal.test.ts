/** Who gets another certificate for one that is about to run out: nodes that have joined, under a clock that is moved. */
import assert from 'node:assert/strict';
import { generateKeyPair, type KeyPair } from '#certs/key.ts';
import { RemovedNode } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { rejects } from '#test/certs/rejects.ts';
import { csrOf, DAY_MS, Setup } from './authority-setup.ts';

describe('certificate authority: renewal', () => {
  let setup: Setup;
  let keys: KeyPair;
  beforeEach(async () => {
    setup = await new Setup().init();
    keys = generateKeyPair();
  });

  it('refuses a node that was removed, by token and by certificate', async () => {
    const { nodeId } = await setup.join(setup.token('worker'), keys);
    const identity = await setup.certified(nodeId);
    const node = setup.store.view().get('node', nodeId);
    assert.ok(node);
    await setup.store.commit([{ kind: 'remove', table: 'node', object: node }]);
    const renewal = { csrPem: csrOf(generateKeyPair()) };
    const caller = { identity, address: '192.0.2.1' };
    await assert.rejects(setup.issue(renewal, caller), rejects('node-removed', /was removed/));
    await setup.change((cluster) => ({
      ...cluster,
      removedNodes: [RemovedNode.create({ nodeId, expiresAtMs: setup.clock.now() + DAY_MS })],
    }));
    await assert.rejects(setup.issue(renewal, caller), rejects('node-removed', /was removed/));
    await assert.rejects(setup.join(setup.token('worker'), keys), rejects('node-removed', /was removed/));
  });

  it('renews by certificate: same node, new key, role from the node object', async () => {
    const { nodeId } = await setup.join(setup.token('worker'), keys);
    const identity = await setup.certified(nodeId);
    const caller = { identity, address: '192.0.2.1' };
    setup.clock.advance(60 * DAY_MS);
    const renewed = generateKeyPair();
    assert.equal((await setup.issue({ csrPem: csrOf(renewed, nodeId) }, caller)).nodeId, nodeId);
    const second = await setup.certified(nodeId);
    assert.equal(second.role, 'worker');
    assert.equal(second.notAfterMs, setup.clock.now() + 90 * DAY_MS);
    assert.notEqual(second.serial, identity.serial);

    const node = setup.store.view().get('node', nodeId);
    assert.ok(node);
    await setup.store.commit([{ kind: 'update', table: 'node', object: { ...node, role: NodeRole.MANAGER } }]);
    assert.equal((await setup.issue({ csrPem: csrOf(generateKeyPair()) }, caller)).role, NodeRole.MANAGER);
    assert.equal((await setup.certified(nodeId)).role, 'manager');
    // A demoted manager still shows its old certificate; the node object decides.
    const manager = { identity: await setup.certified(nodeId), address: '192.0.2.1' };
    const promoted = setup.store.view().get('node', nodeId);
    assert.ok(promoted);
    await setup.store.commit([{ kind: 'update', table: 'node', object: { ...promoted, role: NodeRole.WORKER } }]);
    assert.equal((await setup.issue({ csrPem: csrOf(generateKeyPair()) }, manager)).role, NodeRole.WORKER);
  });

  it('renews nobody else', async () => {
    const { nodeId } = await setup.join(setup.token('worker'), keys);
    const other = await setup.join(setup.token('worker'), generateKeyPair());
    const identity = await setup.certified(nodeId);
    const caller = { identity, address: '192.0.2.1' };
    await assert.rejects(
      setup.issue({ csrPem: csrOf(generateKeyPair(), other.nodeId) }, caller),
      rejects('bad-certificate', /cannot have a certificate for node/),
    );
    await assert.rejects(
      setup.issue({ csrPem: csrOf(generateKeyPair()), token: setup.token('manager') }, caller),
      rejects('bad-field', /is a member already and cannot use a join token/),
    );
    const foreign = { identity: { ...identity, clusterId: 'f'.repeat(25) }, address: '192.0.2.1' };
    await assert.rejects(setup.issue({ csrPem: csrOf(generateKeyPair()) }, foreign), rejects('node-removed', /./));
  });

  it('tries again when the node changes in between', async () => {
    const { nodeId } = await setup.join(setup.token('worker'), keys);
    const identity = await setup.certified(nodeId);
    setup.store.beforeCommit = async () => {
      const node = setup.store.view().get('node', nodeId);
      assert.ok(node);
      const spec = node.spec && { ...node.spec, labels: { zone: 'a' } };
      await setup.store.commit([{ kind: 'update', table: 'node', object: { ...node, spec } }]);
    };
    await setup.issue({ csrPem: csrOf(generateKeyPair()) }, { identity, address: '192.0.2.1' });
    const node = setup.store.view().get('node', nodeId);
    assert.deepEqual(node?.spec?.labels, { zone: 'a' });
    assert.notEqual((await setup.certified(nodeId)).serial, identity.serial);
  });
});
