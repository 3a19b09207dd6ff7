/** A rotation of the root, from its beginning to its end, whatever comes in between. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { certificatesPem, parseCertificates } from '#certs/certificate.ts';
import { parseJoinToken } from '#certs/join-token.ts';
import { IssuanceState, NodeState, NodeStatus } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability, NodeRole } from '#gen/swarm/v1/specs.ts';
import { isRetiredIssuer, rotationProgress, trustedRootsPem } from '#manager/ca/index.ts';
import { LEFT_BEHIND } from '#manager/ca/rotation/rotation-changes.ts';
import { anotherManager } from '#test/fixtures/another-manager.ts';
import { NEW_ROOT, World } from './world.ts';

const DEADLINE_ROUNDS = 60;

/** Every node does what it should until the rotation is over. */
async function settle(world: World): Promise<void> {
  for (let round = 0; world.rootCa.rotation !== undefined; round++) {
    assert.ok(round < DEADLINE_ROUNDS, `the rotation does not end: ${world.rootCa.rotation.problem}`);
    await world.obey();
    await world.pass(1_000);
  }
  await world.obey();
}

function present(world: World): typeof NEW_ROOT {
  return { ...NEW_ROOT, caCertPem: world.rootCa.certificatePem, caKeyPem: world.rootCa.keyPem };
}

describe('rotation of the root', () => {
  it('asks nodes in batches, and makes the new root the root when all have followed', async () => {
    const world = new World(1, { atOnce: 3 });
    const ids = [...world.hosts.keys(), ...Array.from({ length: 9 }, () => world.join())];
    const before = world.rootCa;
    await world.rotate();
    await world.pass(500);
    const asked = (): number =>
      [...world.view.all('node')].filter(({ certificate }) => certificate?.state === IssuanceState.ROTATE).length;
    assert.equal(asked(), 3);
    assert.equal(trustedRootsPem(world.rootCa).split('BEGIN').length - 1, 2, 'both roots are trusted meanwhile');
    assert.equal(world.rootCa.joinTokens?.worker, before.joinTokens?.worker, 'tokens count until the end');
    await world.obey();
    assert.equal(rotationProgress(world.view)?.trusting, 10);
    assert.ok((rotationProgress(world.view)?.done ?? 0) >= 3);
    assert.ok(asked() <= 3);
    await settle(world);

    const { rootCa } = world;
    assert.notEqual(rootCa.digest, before.digest);
    assert.equal(parseJoinToken(rootCa.joinTokens?.worker ?? '').rootDigest, rootCa.digest);
    assert.notEqual(rootCa.joinTokens?.manager, before.joinTokens?.manager);
    for (const id of ids) {
      assert.equal(world.issuerOf(id), world.rootKeyId);
      assert.equal(world.hosts.get(id)?.rootsPem, trustedRootsPem(rootCa), 'only the new root is trusted');
    }
    const [old] = parseCertificates(before.certificatePem);
    assert.ok(isRetiredIssuer(world.cluster, old?.subjectKeyId ?? ''), 'the former root counts nowhere');
    world.stop();
  });

  it('waits for a node that is away, says so, and goes on without it when told to', async () => {
    const world = new World();
    const away = world.join();
    world.setUp(away, false);
    await world.rotate();
    for (let round = 0; round < 5; round++) await world.obey();
    await world.pass(3_000);
    assert.match(world.rootCa.rotation?.problem ?? '', /^host-1: is not reachable: .*leave it behind/);
    const progress = rotationProgress(world.view);
    assert.deepEqual([progress?.done, progress?.total], [1, 2]);
    assert.deepEqual(
      progress?.missing.map(({ nodeId }) => nodeId),
      [away],
    );

    const { rootCa } = world;
    const rotation = rootCa.rotation;
    assert.ok(rotation);
    const object = { ...world.cluster, rootCa: { ...rootCa, rotation: { ...rotation, leftBehind: [away] } } };
    world.commit([{ kind: 'update', table: 'cluster', object }]);
    await settle(world);
    const node = world.view.get('node', away);
    assert.equal(node?.certificate?.state, IssuanceState.FAILED);
    assert.equal(node.certificate.error, LEFT_BEHIND);
    assert.equal(node.status?.message, LEFT_BEHIND);
    world.stop();
  });

  it('waits until a node trusts the new root, though it has a certificate of it', async () => {
    const world = new World();
    const deaf = world.join();
    await world.rotate();
    await world.pass(500);
    for (const id of world.hosts.keys()) {
      if (id !== deaf) world.tell(id);
      world.renew(id);
      world.describe(id);
    }
    await world.pass(3_000);
    assert.ok(world.rootCa.rotation, 'who joins after the end would be a stranger to it');
    assert.match(rotationProgress(world.view)?.missing[0]?.message ?? '', /trusts the new root/);
    await settle(world);
    world.stop();
  });

  it('never leaves a manager behind', async () => {
    const world = new World();
    const manager = world.join(NodeRole.MANAGER);
    world.setUp(manager, false);
    await world.rotate(NEW_ROOT, [manager]);
    for (let round = 0; round < 5; round++) await world.obey();
    assert.ok(world.rootCa.rotation, 'it waits');
    world.setUp(manager, true);
    await settle(world);
    assert.equal(world.issuerOf(manager), world.rootKeyId);
    world.stop();
  });

  it('says which node runs a release that cannot follow', async () => {
    const world = new World();
    const old = world.join();
    world.edit(old, (node) => ({
      ...node,
      description: node.description && { ...node.description, featureLevel: 4, tls: undefined },
    }));
    await world.rotate();
    await world.pass(500);
    assert.notEqual(world.view.get('node', old)?.certificate?.state, IssuanceState.ROTATE, 'it would not understand');
    for (const id of world.hosts.keys()) {
      if (id === old) continue;
      world.tell(id);
      world.renew(id);
      world.describe(id);
    }
    await world.pass(3_000);
    assert.match(world.rootCa.rotation?.problem ?? '', /runs a release that cannot follow: upgrade it/);
    world.stop();
  });

  it('asks again when a node has lost what it was given', async () => {
    const world = new World(1, { patienceMs: 5_000 });
    const node = world.join();
    await world.rotate();
    await world.pass(500);
    world.renew(node, false);
    world.describe(node);
    await world.pass(1_000);
    assert.equal(world.view.get('node', node)?.certificate?.state, IssuanceState.ISSUED);
    await world.pass(8_000);
    assert.equal(world.view.get('node', node)?.certificate?.state, IssuanceState.ROTATE);
    await settle(world);
    world.stop();
  });

  it('gives the place of a node that does nothing to another one', async () => {
    const world = new World(1, { atOnce: 1, patienceMs: 2_000 });
    const [first] = world.hosts.keys();
    const second = world.join();
    await world.rotate();
    await world.pass(500);
    const state = (id: string | undefined): IssuanceState | undefined =>
      world.view.get('node', id ?? '')?.certificate?.state;
    assert.deepEqual([state(first), state(second)], [IssuanceState.ROTATE, IssuanceState.ISSUED]);
    await world.pass(5_000);
    assert.equal(state(second), IssuanceState.ROTATE);
    world.stop();
  });

  it('goes on after writes that fail, and under another leader', async () => {
    const world = new World();
    world.join();
    world.broken = true;
    await world.rotate();
    await world.pass(5_000);
    assert.equal(
      [...world.view.all('node')].filter((node) => node.certificate?.state === IssuanceState.ROTATE).length,
      0,
    );
    world.broken = false;
    world.lead();
    await settle(world);
    world.stop();
  });

  it('leads back to the present root, whose tokens are new then, too', async () => {
    const world = new World();
    const node = world.join();
    const before = world.rootCa;
    await world.rotate();
    await world.pass(500);
    world.renew(node);
    assert.notEqual(world.issuerOf(node), world.rootKeyId);
    await world.rotate(present(world));
    assert.equal(world.rootCa.rotation?.supersededKeyIds.length, 1);
    await settle(world);
    assert.equal(world.rootCa.digest, before.digest);
    assert.notEqual(world.rootCa.joinTokens?.worker, before.joinTokens?.worker);
    assert.equal(world.issuerOf(node), world.rootKeyId);
    assert.equal(world.rootCa.retiredKeyIds.length, 1, 'the root that it never became');
    world.stop();
  });

  it('trusts a root again that was replaced once', async () => {
    const world = new World();
    const former = present(world);
    const formerKeyId = world.rootKeyId;
    await world.rotate();
    await settle(world);
    assert.deepEqual(world.rootCa.retiredKeyIds, [formerKeyId]);
    await world.rotate(former);
    assert.deepEqual(world.rootCa.retiredKeyIds, []);
    await settle(world);
    assert.equal(world.rootKeyId, formerKeyId);
    assert.equal(isRetiredIssuer(world.cluster, formerKeyId), false);
    world.stop();
  });

  it('always completes when all can be reached, and never lets nodes meet who cannot verify each other', async function () {
    this.timeout(180_000);
    const operation = fc.record({
      kind: fc.constantFrom(
        ...['tell', 'renew', 'lose', 'describe', 'down', 'up', 'join', 'remove', 'rotate', 'back', 'lead', 'forget'],
        ...['pass', 'obey', 'pass', 'obey'],
      ),
      which: fc.nat(30),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(operation, { minLength: 20, maxLength: 40, size: 'max' }),
        fc.nat(1000),
        async (history, seed) => {
          const world = new World(seed, { atOnce: 2, patienceMs: 3_000 });
          for (let i = 0; i < 4; i++) world.join(i === 0 ? NodeRole.MANAGER : NodeRole.WORKER);
          let rotations = 1;
          await world.rotate();
          for (const { kind, which } of history) {
            const ids = [...world.hosts.keys()];
            const id = ids[which % ids.length] ?? '';
            if (kind === 'rotate' && rotations < 5) {
              rotations++;
              await world.rotate();
            } else if (kind === 'back' && world.rootCa.rotation !== undefined) await world.rotate(present(world));
            else await happen(world, kind, id, ids.length);
            checkMutualTrust(world);
          }
          for (const id of world.hosts.keys()) world.setUp(id, true);
          await settle(world);
          checkMutualTrust(world);
          for (const id of world.hosts.keys())
            assert.ok(world.issuerOf(id) === world.rootKeyId, 'everybody has a certificate of the root');
          world.stop();
        },
      ),
      { numRuns: 8, seed: 6 },
    );
  });
});

async function happen(world: World, kind: string, id: string, count: number): Promise<void> {
  switch (kind) {
    case 'tell':
      return world.tell(id);
    case 'renew':
      return world.renew(id);
    case 'lose':
      return world.renew(id, false);
    case 'describe':
      return world.describe(id);
    case 'down':
      return world.setUp(id, false);
    case 'up':
      return world.setUp(id, true);
    case 'join':
      if (count < 7) world.join();
      return;
    case 'remove':
      if (count > 2) world.remove(id);
      return;
    case 'lead':
      return world.lead();
    case 'forget': // a new leader has not heard of the node yet
      return world.edit(id, (node) => ({ ...node, status: NodeStatus.create({ state: NodeState.UNKNOWN }) }));
    case 'pass':
      return world.pass(1_500);
    case 'obey':
      return world.obey();
  }
}

/** Whoever is a node of the swarm accepts whoever else is one, at all times, as both are at the moment. */
function checkMutualTrust(world: World): void {
  for (const [caller, { chainPem }] of world.hosts)
    for (const [server, { rootsPem }] of world.hosts)
      assert.equal(world.problem(chainPem, rootsPem), '', `${server} does not accept ${caller}`);
}

describe('roots to trust', () => {
  it('are both for the manager that restores a swarm in the middle, whose certificate everybody verifies', async () => {
    const world = new World();
    const old = world.rootCa;
    await world.rotate();
    const host = { nowMs: world.clock.now(), hostname: 'restored', availability: NodeAvailability.ACTIVE };
    const { identity } = await anotherManager(world.cluster, host);
    assert.equal(identity.rootPem, trustedRootsPem(world.rootCa));
    assert.equal(world.problem(identity.certificatePem, trustedRootsPem(old)), '', 'who knows the old root alone');
    assert.equal(world.problem(identity.certificatePem, identity.rootPem), '');
    world.stop();
  });

  it('are one, or the present one first and then the new one', async () => {
    const world = new World();
    const one = parseCertificates(world.rootCa.certificatePem);
    assert.equal(trustedRootsPem(world.rootCa), certificatesPem(one));
    await world.rotate();
    const [first, second, ...more] = parseCertificates(trustedRootsPem(world.rootCa));
    assert.deepEqual(first?.der, one[0]?.der);
    assert.deepEqual(second?.der, parseCertificates(world.rootCa.rotation?.certificatePem ?? '')[0]?.der);
    assert.equal(more.length, 0);
    world.stop();
  });
});
