/**
 * Who is admitted, as what, and who is not. Method: a real cluster bootstrap in a store of the tests, real keys and
 * requests.
 */
import assert from 'node:assert/strict';
import { certificateDigest, createRootAuthority } from '#certs/authority.ts';
import { certificatesPem, parseCertificates } from '#certs/certificate.ts';
import { createCertificateRequest } from '#certs/certificate-request.ts';
import { createJoinToken } from '#certs/join-token.ts';
import { generateKeyPair, type KeyPair, keysMatch } from '#certs/key.ts';
import { privateKeyPem } from '#certs/key-file.ts';
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { IssuanceState } from '#gen/swarm/v1/objects.ts';
import { NodeAvailability, NodeRole } from '#gen/swarm/v1/specs.ts';
import { CA_CONFIG } from '#manager/ca/index.ts';
import { must, rejects } from '#test/certs/rejects.ts';
import { csrOf, DAY_MS, Setup } from './authority-setup.ts';

describe('certificate authority: joining', () => {
  let setup: Setup;
  let keys: KeyPair;
  beforeEach(async () => {
    setup = await new Setup().init();
    keys = generateKeyPair();
  });

  it('hands out the root whose digest is in the tokens, and the time', () => {
    const answer = setup.authority.getRootCertificate();
    const [root] = parseCertificates(answer.certificatePem);
    assert.ok(root);
    assert.equal(certificateDigest(root), setup.cluster.rootCa?.digest);
    assert.equal(answer.timeMs, setup.clock.now());
  });

  for (const [name, role] of [
    ['worker', NodeRole.WORKER],
    ['manager', NodeRole.MANAGER],
  ] as const)
    it(`admits a ${name} by the ${name} token`, async () => {
      const answer = await setup.issue({
        token: setup.token(name),
        csrPem: csrOf(keys),
        hostname: 'web-1',
        availability: NodeAvailability.DRAIN,
      });
      assert.equal(answer.role, role);
      const node = setup.store.view().get('node', answer.nodeId);
      assert.equal(node?.role, role);
      assert.equal(node.spec?.desiredRole, role);
      assert.equal(node.spec.availability, NodeAvailability.DRAIN);
      assert.equal(node.description?.hostname, 'web-1');
      const identity = await setup.certified(answer.nodeId);
      assert.deepEqual(
        { nodeId: identity.nodeId, role: identity.role, clusterId: identity.clusterId },
        { nodeId: answer.nodeId, role: name, clusterId: setup.cluster.id },
      );
      assert.equal(identity.notAfterMs, setup.clock.now() + 90 * DAY_MS);
    });

  it('certifies the key of the request and nothing else of it', async () => {
    const wish = { organizationalUnit: 'swarm-manager', organization: 'elsewhere' };
    const csrPem = Buffer.from(createCertificateRequest(keys, wish));
    const { nodeId } = await setup.issue({ token: setup.token('worker'), csrPem });
    assert.equal((await setup.certified(nodeId)).role, 'worker');
    const node = setup.store.view().get('node', nodeId);
    const [certificate] = parseCertificates(node?.certificate?.certificatePem ?? '');
    assert.ok(certificate && keysMatch(keys.privateKey, certificate.publicKeyDer));
    assert.ok(!certificate.dnsNames.includes('swarm-manager'));
  });

  it('gives the same node again to a joiner whose answer was lost, and makes no ghost', async () => {
    const first = await setup.join(setup.token('worker'), keys);
    const before = setup.store.view().get('node', first.nodeId);
    const again = await setup.issue({ token: setup.token('worker'), csrPem: csrOf(keys), hostname: 'other' });
    assert.equal(again.nodeId, first.nodeId);
    assert.equal(setup.store.view().get('node', first.nodeId), before);
    assert.equal(setup.store.nodes().length, 2);
    assert.notEqual((await setup.join(setup.token('worker'), generateKeyPair())).nodeId, first.nodeId);
  });

  describe('gives a joiner whose answer was lost another certificate for the same key', () => {
    const again = async (nodeId: string): Promise<void> => {
      const before = setup.store.view().get('node', nodeId)?.certificate?.certificatePem;
      assert.equal((await setup.join(setup.token('worker'), keys)).nodeId, nodeId);
      const { notBeforeMs } = await setup.certified(nodeId);
      const after = setup.store.view().get('node', nodeId)?.certificate?.certificatePem ?? '';
      const [certificate] = parseCertificates(after);
      assert.ok(certificate && keysMatch(keys.privateKey, certificate.publicKeyDer));
      assert.ok(notBeforeMs > (parseCertificates(before ?? '')[0]?.notBeforeMs ?? 0));
      assert.equal(setup.store.nodes().length, 2);
    };

    it('when the one that was meant for it has run out', async () => {
      const { nodeId } = await setup.join(setup.token('worker'), keys);
      setup.clock.advance(91 * DAY_MS);
      await again(nodeId);
    });

    it('when the root was replaced meanwhile, and the node left behind', async () => {
      const { nodeId } = await setup.join(setup.token('worker'), keys);
      const node = must(setup.store.view().get('node', nodeId));
      const certificate = { ...must(node.certificate), state: IssuanceState.FAILED, error: 'was left behind' };
      await setup.store.commit([{ kind: 'update', table: 'node', object: { ...node, certificate } }]);
      const root = createRootAuthority(setup.clock.now());
      const digest = certificateDigest(root.certificate);
      const rootCa = {
        ...must(setup.cluster.rootCa),
        digest,
        certificatePem: Buffer.from(certificatesPem([root.certificate])),
        keyPem: Buffer.from(privateKeyPem(root.privateKey)),
        joinTokens: { worker: createJoinToken(digest), manager: createJoinToken(digest) },
      };
      await setup.change((cluster) => ({ ...cluster, rootCa }));
      await again(nodeId);
    });

    it('but not to whoever has a key that the node does not use any more', async () => {
      const { nodeId } = await setup.join(setup.token('worker'), keys);
      const caller = { identity: await setup.certified(nodeId), address: '192.0.2.1' };
      await setup.issue({ csrPem: csrOf(generateKeyPair()) }, caller);
      setup.clock.advance(91 * DAY_MS);
      const before = setup.store.view().get('node', nodeId);
      await setup.join(setup.token('worker'), keys);
      assert.equal(setup.store.view().get('node', nodeId), before);
    });
  });

  it('gives one node to a joiner that asks twice at once', async () => {
    const answers = await Promise.all([1, 2, 3].map(() => setup.join(setup.token('worker'), keys)));
    assert.equal(new Set(answers.map((answer) => answer.nodeId)).size, 1);
    assert.equal(setup.store.nodes().length, 2);
  });

  it('does not make a worker a manager by a replay with the other token', async () => {
    await setup.join(setup.token('worker'), keys);
    await assert.rejects(setup.join(setup.token('manager'), keys), rejects('wrong-role', /is a worker already/));
  });

  it('refuses tokens that are malformed, of another cluster, wrong, or rotated, by different words', async () => {
    const digest = setup.cluster.rootCa?.digest ?? '';
    await assert.rejects(setup.join('hello', keys), rejects('bad-token', /malformed/));
    await assert.rejects(setup.join('', keys), rejects('bad-token', /is empty/));
    await assert.rejects(
      setup.join(createJoinToken('ab'.repeat(32)), keys),
      rejects('wrong-cluster', /another cluster/),
    );
    await assert.rejects(
      setup.join(createJoinToken(digest), keys),
      rejects('bad-token', /not valid: it may have been rotated/),
    );
    const old = setup.token('worker');
    await setup.change((cluster) => ({
      ...cluster,
      rootCa: cluster.rootCa && {
        ...cluster.rootCa,
        joinTokens: { worker: createJoinToken(digest), manager: setup.token('manager') },
      },
    }));
    await assert.rejects(setup.join(old, keys), rejects('bad-token', /may have been rotated/));
    await setup.join(setup.token('worker'), keys);
    assert.equal(setup.store.nodes().length, 2);
  });

  it('never takes an empty token for one that the cluster lacks', async () => {
    await setup.change((cluster) => ({
      ...cluster,
      rootCa: cluster.rootCa && { ...cluster.rootCa, joinTokens: undefined },
    }));
    await assert.rejects(setup.join('', keys), rejects('bad-token', /is empty/));
  });

  it('refuses rubbish for a request, and one for another node', async () => {
    const token = setup.token('worker');
    const cases: readonly [csr: Uint8Array | string, message: RegExp][] = [
      ['', /is empty/],
      ['rubbish', /is not PEM/],
      ['x'.repeat(LIMITS.CSR_BYTES + 1), /larger than/],
      [csrOf(keys, 'z'.repeat(25)), /cannot have a certificate for node z{25}/],
      [csrOf(keys, 'swarm-ca'), /cannot have a certificate for another name/],
    ];
    for (const [csrPem, message] of cases)
      await assert.rejects(setup.issue({ token, csrPem: Buffer.from(csrPem) }), (error: SwarmError) => {
        assert.match(error.message, message);
        return true;
      });
    await assert.rejects(
      setup.issue({ token, csrPem: csrOf(keys), hostname: 'a b' }),
      rejects('bad-field', /hostname/),
    );
    await assert.rejects(
      setup.issue({ token, csrPem: csrOf(keys), hostname: 'a'.repeat(300) }),
      rejects('bad-field', /253/),
    );
    assert.equal(setup.store.nodes().length, 1);
  });

  it('logs who is admitted and who is refused, a bounded number of times, and never a token', async () => {
    const token = createJoinToken(setup.cluster.rootCa?.digest ?? '');
    for (let i = 0; i < 30; i++) await assert.rejects(setup.join(token, keys));
    await setup.join(setup.token('worker'), keys);
    const refusals = setup.lines.filter((line) => line.message.startsWith('refused'));
    assert.equal(refusals.length, CA_CONFIG.refusalsLoggedBurst);
    assert.equal(setup.lines.at(-1)?.message, 'admitted a node');
    const text = JSON.stringify(setup.lines);
    assert.ok(!text.includes('SWMTKN') && !text.includes(token.slice(-25)));
  });
});
