/**
 * Goal: a host that joins again is the node that it was, by proof, and what it had before does not count; nobody becomes
 * another node by saying so. Method: the real authority on a store in memory, hosts with real keys.
 */
import assert from 'node:assert/strict';
import { proveFormer } from '#certs/former-proof.ts';
import { generateKeyPair, type KeyPair } from '#certs/key.ts';
import { FormerNode } from '#gen/swarm/v1/ca.ts';
import {
  EngineDescription,
  type Node,
  NodeDescription,
  NodeState,
  NodeStatus,
  Task,
  TaskState,
  TaskStatus,
} from '#gen/swarm/v1/objects.ts';
import { NodeAvailability, NodeRole, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { removalChanges } from '#manager/membership/index.ts';
import { csrOf, DAY_MS, Setup } from './authority-setup.ts';

/** A host with the key and the certificate of its node. */
interface Host {
  readonly nodeId: string;
  readonly keys: KeyPair;
  readonly certificatePem: Uint8Array;
}

describe('certificate authority: hosts that join again', () => {
  let setup: Setup;
  let host: Host;

  const nodeOf = (nodeId: string): Node => {
    const node = setup.store.view().get('node', nodeId);
    assert.ok(node, `node ${nodeId} is there`);
    return node;
  };

  const joined = async (role: 'worker' | 'manager'): Promise<Host> => {
    const keys = generateKeyPair();
    const { nodeId } = await setup.join(setup.token(role), keys);
    return { nodeId, keys, certificatePem: nodeOf(nodeId).certificate?.certificatePem ?? new Uint8Array() };
  };

  const edit = async (nodeId: string, change: Partial<Node>): Promise<void> => {
    await setup.store.commit([{ kind: 'update', table: 'node', object: { ...nodeOf(nodeId), ...change } }]);
  };

  const setState = (nodeId: string, state: NodeState): Promise<void> => {
    const status = NodeStatus.create({ state, sinceMs: setup.clock.now() });
    const description = NodeDescription.create({ hostname: 'host', engine: EngineDescription.create() });
    return edit(nodeId, { status, description });
  };

  const remove = async (nodeId: string): Promise<void> => {
    const { view } = setup.store;
    await setup.store.commit(removalChanges(view.call(setup.store), nodeOf(nodeId), setup.clock.now()));
  };

  /** Joins with a new key, as the host that has `proof`. */
  const joinAgain = (
    proof: Host,
    options: { role?: 'worker' | 'manager'; replace?: boolean; keys?: KeyPair; availability?: NodeAvailability } = {},
  ): ReturnType<Setup['issue']> => {
    const csrPem = csrOf(options.keys ?? generateKeyPair());
    const signature = proveFormer(csrPem, proof.keys.privateKey);
    const former = FormerNode.create({
      certificatePem: proof.certificatePem,
      signature,
      replace: options.replace ?? false,
    });
    const token = setup.token(options.role ?? 'worker');
    return setup.issue({ token, csrPem, hostname: 'host', availability: options.availability ?? 0, former });
  };

  beforeEach(async () => {
    setup = await new Setup().init();
    await setup.change((cluster) => ({ ...cluster, featureLevel: 5 }));
    host = await joined('worker');
  });

  it('a removed node keeps its id; its earlier certificates do not count', async () => {
    const earlier = await setup.certified(host.nodeId);
    await remove(host.nodeId);
    setup.clock.advance(1000);
    const answer = await joinAgain(host);
    assert.equal(answer.nodeId, host.nodeId);
    assert.deepEqual(setup.cluster.removedNodes, []);
    const now = await setup.certified(host.nodeId);
    assert.ok(earlier.notBeforeMs < nodeOf(host.nodeId).certificatesFromMs);
    assert.equal(now.notBeforeMs, nodeOf(host.nodeId).certificatesFromMs);
    const old = { identity: earlier, address: '192.0.2.1' };
    await assert.rejects(setup.issue({ csrPem: csrOf(generateKeyPair()) }, old), { reason: 'node-removed' });
    const current = { identity: now, address: '192.0.2.1' };
    assert.equal((await setup.issue({ csrPem: csrOf(generateKeyPair()) }, current)).nodeId, host.nodeId);
  });

  it('also within the second in which it left', async () => {
    const earlier = await setup.certified(host.nodeId);
    await remove(host.nodeId);
    await joinAgain(host);
    assert.ok((await setup.certified(host.nodeId)).notBeforeMs > earlier.notBeforeMs);
  });

  it('takes over its own entry: labels and availability stay, the role is that of the token, its tasks are lost', async () => {
    const fields = { labels: { zone: 'a' }, availability: NodeAvailability.PAUSE, desiredRole: NodeRole.WORKER };
    await edit(host.nodeId, { spec: NodeSpec.create(fields), index: 7 });
    await setState(host.nodeId, NodeState.DOWN);
    const status = TaskStatus.create({ state: TaskState.RUNNING });
    const task = Task.create({ id: 'task', nodeId: host.nodeId, serviceId: 's', status });
    await setup.store.commit([{ kind: 'create', table: 'task', object: task }]);
    const answer = await joinAgain(host, { role: 'manager' });
    assert.deepEqual([answer.nodeId, answer.role], [host.nodeId, NodeRole.MANAGER]);
    const node = nodeOf(host.nodeId);
    assert.deepEqual(node.spec?.labels, { zone: 'a' });
    assert.equal(node.spec.availability, NodeAvailability.PAUSE);
    assert.equal(node.spec.desiredRole, NodeRole.MANAGER);
    assert.equal(node.role, NodeRole.MANAGER);
    assert.equal(node.index, 7);
    assert.equal(node.status?.state, NodeState.UNKNOWN);
    assert.equal(setup.store.view().get('task', 'task')?.status?.state, TaskState.ORPHANED);
    assert.equal(setup.store.nodes().length, 2);
    await setState(host.nodeId, NodeState.DOWN);
    await joinAgain(host, { availability: NodeAvailability.DRAIN });
    assert.equal(nodeOf(host.nodeId).spec?.availability, NodeAvailability.DRAIN);
  });

  it('asks again after its answer was lost, and nothing more is written', async () => {
    await remove(host.nodeId);
    const keys = generateKeyPair();
    await joinAgain(host, { keys });
    const before = nodeOf(host.nodeId);
    assert.equal((await joinAgain(host, { keys })).nodeId, host.nodeId);
    assert.equal(nodeOf(host.nodeId), before);
  });

  it('asks again after its certificate has run out, too', async () => {
    await remove(host.nodeId);
    const keys = generateKeyPair();
    await joinAgain(host, { keys });
    setup.clock.advance(91 * DAY_MS);
    assert.equal((await joinAgain(host, { keys })).nodeId, host.nodeId);
    await setup.certified(host.nodeId);
  });

  it('is another node where it wants to be, and its former entry goes', async () => {
    await setState(host.nodeId, NodeState.DOWN);
    const { nodeId } = await joinAgain(host, { replace: true });
    assert.notEqual(nodeId, host.nodeId);
    assert.equal(setup.store.view().get('node', host.nodeId), undefined);
    assert.deepEqual(
      setup.cluster.removedNodes.map((removed) => removed.nodeId),
      [host.nodeId],
    );
    assert.equal(setup.store.nodes().length, 2);
  });

  for (const replace of [false, true])
    it(`is refused while the node is up, or may be${replace ? ', also as another one' : ''}`, async () => {
      for (const state of [NodeState.READY, NodeState.UNKNOWN]) {
        await setState(host.nodeId, state);
        await assert.rejects(joinAgain(host, { replace }), { reason: 'in-use', code: 'unavailable' });
      }
      assert.equal(setup.store.nodes().length, 2);
    });

  it('is refused while the log has a member of it, with the command that helps', async () => {
    await setState(host.nodeId, NodeState.DOWN);
    setup.members.add(host.nodeId);
    await assert.rejects(joinAgain(host, { role: 'manager' }), {
      hint: `run \`swarm node demote ${host.nodeId}\` on a manager, then join again`,
    });
    setup.members.clear();
    assert.equal((await joinAgain(host, { role: 'manager' })).nodeId, host.nodeId);
  });

  it('nobody becomes a node whose key he has not', async () => {
    await remove(host.nodeId);
    const thief = { ...host, keys: generateKeyPair() };
    await assert.rejects(joinAgain(thief), { reason: 'bad-certificate', code: 'denied' });
    // A proof is for one request.
    const csrPem = csrOf(generateKeyPair());
    const signature = proveFormer(csrPem, host.keys.privateKey);
    const former = FormerNode.create({ certificatePem: host.certificatePem, signature });
    const other = { token: setup.token('worker'), csrPem: csrOf(generateKeyPair()), former };
    await assert.rejects(setup.issue(other), { reason: 'bad-certificate' });
    await assert.rejects(setup.issue({ ...other, token: 'SWMTKN-1-x' }), { reason: 'bad-token' });
  });

  it('who was a node of another cluster, or of one that knows nothing of this, is a new one', async () => {
    const elsewhere = await new Setup().init();
    const keys = generateKeyPair();
    const { nodeId } = await elsewhere.join(elsewhere.token('worker'), keys);
    const certificatePem = elsewhere.store.view().get('node', nodeId)?.certificate?.certificatePem ?? new Uint8Array();
    const stranger = { nodeId, keys, certificatePem };
    assert.notEqual((await joinAgain(stranger)).nodeId, nodeId);
    await remove(host.nodeId);
    await setup.change((cluster) => ({ ...cluster, featureLevel: 4 }));
    const answer = await joinAgain(host);
    assert.notEqual(answer.nodeId, host.nodeId);
    assert.deepEqual([nodeOf(answer.nodeId).certificatesFromMs, nodeOf(answer.nodeId).certificatesUntilMs], [0, 0]);
  });

  it('rubbish for a proof is refused and changes nothing', async () => {
    const before = setup.store.nodes().length;
    for (const certificatePem of ['', 'rubbish', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n']) {
      const former = FormerNode.create({ certificatePem: Buffer.from(certificatePem) });
      const csrPem = csrOf(generateKeyPair());
      await assert.rejects(setup.issue({ token: setup.token('worker'), csrPem, former }));
    }
    assert.equal(setup.store.nodes().length, before);
  });

  it('is told to demote another node of its name first that is a manager', async () => {
    const lost = await setup.join(setup.token('manager'), generateKeyPair());
    await setState(lost.nodeId, NodeState.DOWN);
    const { warnings } = await setup.join(setup.token('worker'), generateKeyPair());
    assert.match(warnings.join(), new RegExp(`run .swarm node demote ${lost.nodeId}., then run .swarm node rm`));
  });

  it('is told of another node of its name that is down', async () => {
    await setState(host.nodeId, NodeState.DOWN);
    const { warnings, nodeId } = await setup.join(setup.token('worker'), generateKeyPair());
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', new RegExp(`this host, run .swarm node rm ${host.nodeId}`));
    await setState(host.nodeId, NodeState.READY);
    await setState(nodeId, NodeState.READY);
    assert.deepEqual((await setup.join(setup.token('worker'), generateKeyPair())).warnings, []);
  });

  it('remembers the longest of its certificates, also when the lifetime was made shorter', async () => {
    const untilMs = setup.clock.now() + 90 * DAY_MS;
    assert.equal(nodeOf(host.nodeId).certificatesUntilMs, untilMs);
    await setup.change((cluster) => ({
      ...cluster,
      spec: cluster.spec && { ...cluster.spec, ca: { externalCas: [], nodeCertExpiryMs: DAY_MS } },
    }));
    const caller = { identity: await setup.certified(host.nodeId), address: '192.0.2.1' };
    await setup.issue({ csrPem: csrOf(generateKeyPair()) }, caller);
    assert.equal((await setup.certified(host.nodeId)).notAfterMs, setup.clock.now() + DAY_MS);
    assert.equal(nodeOf(host.nodeId).certificatesUntilMs, untilMs);
  });
});
