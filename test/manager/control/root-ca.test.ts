/** The root in the declarative API: what begins a rotation, what is refused, what is shown. */
import assert from 'node:assert/strict';
import { createRootAuthority, crossSign, loadAuthority } from '#certs/authority.ts';
import { certificatesPem, parseCertificates } from '#certs/certificate.ts';
import { parseCertificateRequest } from '#certs/certificate-request.ts';
import { createJoinToken } from '#certs/join-token.ts';
import { keyIdentifier } from '#certs/key.ts';
import { decodeKeyFile, privateKeyPem } from '#certs/key-file.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { Client, type Cluster, Node, NodeDescription } from '#gen/swarm/v1/objects.ts';
import { LeaveNodesBehindRequest, RotateRootCaRequest } from '#gen/swarm/v1/rootca.ts';
import {
  type ClusterSpec,
  ExternalCa,
  ExternalCaProtocol,
  NodeAvailability,
  NodeRole,
  NodeSpec,
} from '#gen/swarm/v1/specs.ts';
import { bootstrapCluster, prepareRoot, settleExternalCas } from '#manager/ca/index.ts';
import { finishChanges } from '#manager/ca/rotation/rotation-changes.ts';
import { ControlApi, redactCluster } from '#manager/control/index.ts';
import { must, rejects } from '#test/certs/rejects.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';

const nowMs = Date.now();
const BY = { author: 'test' };
type Outside = Parameters<typeof prepareRoot>[2];
const nobody: Outside = { crossSign: () => Promise.reject(new Error('nobody outside is asked')) };

class Setup {
  readonly view = new MemoryView();
  readonly api: ControlApi;

  constructor(featureLevel = 5, outside = nobody) {
    const { cluster, node } = bootstrapCluster({
      nowMs,
      random: new SeededRandom(2),
      hostname: 'first',
      availability: NodeAvailability.ACTIVE,
      featureLevel,
    });
    const description = NodeDescription.create({ hostname: 'worker' });
    const worker = Node.create({ id: 'w'.repeat(25), role: NodeRole.WORKER, spec: NodeSpec.create(), description });
    this.view.commit([
      { kind: 'create', table: 'cluster', object: cluster },
      { kind: 'create', table: 'node', object: node },
      { kind: 'create', table: 'node', object: worker },
      {
        kind: 'create',
        table: 'client',
        object: Client.create({ id: 'c'.repeat(25), name: 'ci', issuerKeyId: 'old' }),
      },
    ]);
    this.api = new ControlApi({
      store: { view: () => this.view, decide: async (decide) => this.view.commit(decide(this.view)) },
      selfNodeId: () => node.id,
      members: () => [],
      random: new SeededRandom(1),
      images: { resolve: async () => undefined },
      tokens: createJoinToken,
      prepareRoot: (wanted, present) => prepareRoot(wanted, present, outside, nowMs),
      now: () => nowMs,
      logger: silentLogger,
    });
  }

  get cluster(): Cluster {
    const cluster = this.view.cluster();
    assert.ok(cluster);
    return cluster;
  }

  rotate(request: Partial<RotateRootCaRequest> = {}): ReturnType<ControlApi['rootCa']['rotate']> {
    return this.api.rootCa.rotate(BY, RotateRootCaRequest.create(request));
  }

  leaveBehind(...references: string[]): ReturnType<ControlApi['rootCa']['leaveBehind']> {
    return this.api.rootCa.leaveBehind(BY, LeaveNodesBehindRequest.create({ references }));
  }
}

describe('the root in the API', () => {
  it('is shown without keys and tokens, with how far its rotation is', async () => {
    const setup = new Setup();
    assert.equal((await setup.api.rootCa.get(BY)).progress, undefined);
    const answer = await setup.rotate({ nodeCertExpiryMs: 7_200_000 });
    const { rootCa, progress } = await setup.api.rootCa.get(BY);
    assert.deepEqual(rootCa, answer.rootCa);
    assert.equal(rootCa?.keyPem.length, 0);
    assert.equal(rootCa.rotation?.keyPem.length, 0);
    assert.equal(rootCa.joinTokens, undefined);
    assert.ok((setup.cluster.rootCa?.rotation?.keyPem.length ?? 0) > 0, 'managers have it');
    assert.equal(redactCluster(setup.cluster, true).rootCa?.rotation?.keyPem.length, 0, 'in no other answer either');
    assert.equal(setup.cluster.spec?.ca?.nodeCertExpiryMs, 7_200_000);
    assert.deepEqual([progress?.done, progress?.total, progress?.clients], [0, 2, ['ci']]);
  });

  it('is not rotated by what breaks a rule: nothing is half begun', async () => {
    const setup = new Setup();
    const other = createRootAuthority(nowMs);
    const [certificate, key] = [certificatesPem([other.certificate]), privateKeyPem(other.privateKey)].map((pem) =>
      Buffer.from(pem),
    );
    const rubbish = Buffer.from('rubbish');
    const external = ExternalCa.create({ protocol: ExternalCaProtocol.CFSSL, url: 'https://ca/' });
    const before = setup.cluster;
    const cases: readonly (readonly [Partial<RotateRootCaRequest>, RegExp])[] = [
      [{ caCertPem: rubbish, caKeyPem: rubbish }, /--ca-cert: is not PEM/],
      [{ caCertPem: certificate ?? rubbish, caKeyPem: rubbish }, /--ca-key: is not a private key/],
      [{ caCertPem: certificate ?? rubbish }, /--ca-key: without it/],
      [{ caKeyPem: key ?? rubbish }, /--ca-key: is a key without its certificate/],
      [{ externalCas: [external] }, /needs its root certificate/],
      [{ nodeCertExpiryMs: 60_000 }, /cert-expiry: 60s is too short/],
      [{ leaveBehind: ['nobody'] }, /node nobody not found/],
      [{ leaveBehind: ['self'] }, /is a manager/],
      [
        { caCertPem: before.rootCa?.certificatePem ?? rubbish, caKeyPem: before.rootCa?.keyPem ?? rubbish },
        /has already/,
      ],
    ];
    for (const [request, message] of cases) await assert.rejects(setup.rotate(request), message);
    assert.equal(setup.cluster, before);
    await setup.rotate({ caCertPem: certificate ?? rubbish, caKeyPem: key ?? rubbish });
    assert.notEqual(setup.cluster.rootCa?.rotation, undefined);
  });

  it('keeps the authorities of the present root, which alone can sign for another new one, until the end', async () => {
    const asked: (readonly string[])[] = [];
    let present = createRootAuthority(nowMs);
    const setup = new Setup(5, {
      crossSign: (authorities, _root, csrPem, accept) => {
        asked.push(authorities.map(({ url }) => url));
        const spki = parseCertificateRequest(csrPem).publicKeyDer;
        const wanted = {
          ...present.certificate,
          publicKeyDer: spki,
          subjectKeyId: keyIdentifier(spki).toString('hex'),
        };
        const signed = crossSign(present, wanted, nowMs);
        accept(signed);
        return Promise.resolve(certificatesPem([signed]));
      },
    });
    const rootCa = must(setup.cluster.rootCa);
    const { privateKey } = decodeKeyFile(rootCa.keyPem, 'root key');
    present = loadAuthority(must(parseCertificates(rootCa.certificatePem)[0]), privateKey);
    const named = (url: string, caCertPem: Uint8Array): ExternalCa =>
      ExternalCa.create({ protocol: ExternalCaProtocol.CFSSL, url, caCertPem });
    const specOf = (externalCas: ExternalCa[]): ClusterSpec => ({
      ...must(setup.cluster.spec),
      ca: { nodeCertExpiryMs: undefined, externalCas },
    });
    const own = named('https://present/', rootCa.certificatePem);
    const outsideOnly = { ...setup.cluster, rootCa: { ...rootCa, keyPem: new Uint8Array() }, spec: specOf([own]) };
    setup.view.commit([{ kind: 'update', table: 'cluster', object: outsideOnly }]);

    await setup.rotate();
    assert.deepEqual(setup.cluster.spec?.ca?.externalCas, [own]);
    const first = must(setup.cluster.rootCa?.rotation).digest;
    await setup.rotate();
    assert.notEqual(setup.cluster.rootCa?.rotation?.digest, first, 'another one takes its place');
    assert.deepEqual(asked, [['https://present/'], ['https://present/']]);

    const rotation = must(setup.cluster.rootCa?.rotation);
    const next = named('https://next/', new Uint8Array());
    const settled = settleExternalCas(setup.cluster, specOf([own, next]), nowMs);
    const filled = { ...next, caCertPem: rotation.certificatePem };
    assert.deepEqual(settled.ca?.externalCas, [own, filled], 'either root is taken meanwhile');
    const other = Buffer.from(certificatesPem([createRootAuthority(nowMs).certificate]));
    assert.throws(
      () => settleExternalCas(setup.cluster, specOf([named('https://other/', other)]), nowMs),
      rejects('bad-field', /cacert is another root/),
    );
    const nobodys = { ...rootCa, rotation: { ...rotation, keyPem: new Uint8Array() } };
    assert.throws(
      () => settleExternalCas({ ...setup.cluster, spec: specOf([own, filled]), rootCa: nobodys }, specOf([own]), nowMs),
      rejects('bad-field', /nobody would sign/),
    );
    const [finished] = finishChanges({ ...setup.cluster, spec: settled }, rootCa, rotation, [], createJoinToken);
    assert.ok(finished?.kind === 'update' && finished.table === 'cluster');
    assert.deepEqual(finished.object.spec?.ca?.externalCas, [filled], 'who signs for a root that is gone goes with it');
  });

  it('needs managers that all know what a rotation is', async () => {
    await assert.rejects(new Setup(4).rotate(), rejects('feature-level', /rotate: needs feature level 5/));
  });

  it('leaves nodes behind by name, and only while it is being replaced', async () => {
    const setup = new Setup();
    await assert.rejects(
      setup.leaveBehind('w'.repeat(25)),
      rejects('no-update', /no rotation of the root is under way/),
    );
    await setup.rotate();
    await assert.rejects(setup.leaveBehind('self'), rejects('wrong-role', /is a manager.*quorum/));
    const { progress } = await setup.leaveBehind('w'.repeat(25), 'w'.repeat(25));
    assert.deepEqual([progress?.total, progress?.leftBehind], [1, 1]);
    assert.deepEqual(setup.cluster.rootCa?.rotation?.leftBehind, ['w'.repeat(25)]);
    await setup.rotate();
    assert.deepEqual(setup.cluster.rootCa?.rotation?.leftBehind, [], 'another rotation begins anew');
    assert.equal(setup.cluster.rootCa.rotation.number, 2);
  });

  it('is replaced by one rotation after the other, though not by ever more of them', async () => {
    const setup = new Setup();
    for (let count = 0; count < 17; count++) await setup.rotate();
    await assert.rejects(setup.rotate(), rejects('too-many', /16 rotations were replaced/));
  });
});
