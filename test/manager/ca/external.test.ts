/** Authorities outside of the swarm: a real HTTPS server that speaks CFSSL, which does its work, fails, and lies. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { type Authority, certificateDigest, createRootAuthority, crossSign } from '#certs/authority.ts';
import { certificatesPem, parseCertificates } from '#certs/certificate.ts';
import { createCertificateRequest, parseCertificateRequest } from '#certs/certificate-request.ts';
import { generateKeyPair, keyIdentifier, publicKeyDer } from '#certs/key.ts';
import { verifyChain } from '#certs/verify-chain.ts';
import type { SwarmError } from '#common/errors.ts';
import { newId } from '#common/ids.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { systemClock } from '#common/system/clock.ts';
import { Cluster, IssuanceState, JoinTokens, Node, NodeCertificate, RootCa } from '#gen/swarm/v1/objects.ts';
import { CaConfig, ClusterSpec, ExternalCa, ExternalCaProtocol, NodeAvailability } from '#gen/swarm/v1/specs.ts';
import { SigningFailure } from '#manager/ca/external/signing-failure.ts';
import {
  authorityWarnings,
  EXTERNAL_CONFIG,
  ExternalAuthority,
  prepareRoot,
  settleExternalCas,
} from '#manager/ca/index.ts';
import type { SigningOrder } from '#manager/ca/node-signer.ts';
import { bootstrapFor } from '#src/swarmd/founding-root.ts';
import { CLUSTER_ID, identity, testNode } from '#test/certs/fixtures.ts';
import { must, rejects } from '#test/certs/rejects.ts';
import {
  type Answer,
  CfsslServer,
  type Changed,
  crossSigned,
  otherKey,
  signAsOrdered,
} from '#test/fixtures/cfssl-server.ts';
import { MemoryView } from '#test/fixtures/memory-view.ts';
import { failure } from '#test/support/failure.ts';
import { csrOf, Setup } from './authority-setup.ts';

const DAY_MS = 24 * 3_600_000;
/** A life that is too long to be taken. */
const LATE: Changed = { lifetimeMs: 400 * DAY_MS };
const random = new SeededRandom(3);
const root = createRootAuthority(Date.now());
const rootPem = Buffer.from(certificatesPem([root.certificate]));
const manager = testNode(root, 'manager');

function named(url: string, init: Partial<ExternalCa> = {}): ExternalCa {
  return ExternalCa.create({ protocol: ExternalCaProtocol.CFSSL, url, caCertPem: rootPem, ...init });
}

function orderFor(role: 'manager' | 'worker', init: Partial<SigningOrder> = {}): SigningOrder {
  const keys = generateKeyPair();
  return {
    identity: identity(role),
    csrPem: Buffer.from(createCertificateRequest(keys)),
    publicKeyDer: publicKeyDer(keys.publicKey),
    nowMs: Date.now(),
    lifetimeMs: 90 * DAY_MS,
    ...init,
  };
}

/** What an authority makes of a request for a root: a certificate of this name and key that may sign. */
function signOrderedRoot(csrPem: string): string {
  const { publicKeyDer: spki } = parseCertificateRequest(csrPem);
  const like = createRootAuthority(Date.now()).certificate;
  const wanted = { ...like, publicKeyDer: spki, subjectKeyId: keyIdentifier(spki).toString('hex') };
  return certificatesPem([crossSign(root, wanted, Date.now())]);
}

describe('an authority outside of the swarm', () => {
  let server: CfsslServer;
  const outside = (config = {}): ExternalAuthority =>
    new ExternalAuthority({
      identity: () => manager,
      clock: systemClock,
      logger: silentLogger,
      config: { ...EXTERNAL_CONFIG, totalTimeoutMs: 20_000, attemptTimeoutMs: 10_000, ...config },
    });

  before(async () => {
    server = await new CfsslServer(root).start();
  });
  beforeEach(() => {
    server.orders.length = 0;
    server.answer = (order) => ({ kind: 'certificate', pem: signAsOrdered(root, order) });
  });
  after(() => server.close());

  it('signs what it is ordered to, for a manager that shows its certificate', async () => {
    for (const role of ['manager', 'worker'] as const) {
      const order = orderFor(role);
      const pem = await outside().sign(
        [named(server.url, { options: { profile: 'node', label: 'l' } })],
        root.certificate,
        order,
      );
      const [leaf, ...more] = parseCertificates(pem);
      assert.ok(leaf);
      assert.equal(more.length, 0);
      assert.equal(verifyChain([leaf], [root.certificate], Date.now()), undefined);
      assert.ok(leaf.publicKeyDer.equals(order.publicKeyDer));
      assert.equal(leaf.subject.commonName, order.identity.nodeId);
    }
    const [first, second] = server.orders;
    assert.equal(first?.caller, manager.identity.nodeId);
    assert.deepEqual([first.order.profile, first.order.label], ['node', 'l']);
    assert.equal(first.order.hosts?.at(-1), 'swarm-ca');
    assert.equal(second?.order.hosts?.length, 2);
    assert.equal(second.order.subject?.names[0]?.O, CLUSTER_ID);
  });

  it('is found at the usual path when none is given', async () => {
    await outside().sign([named(new URL('/', server.url).href)], root.certificate, orderFor('worker'));
    assert.equal(server.orders[0]?.path, '/api/v1/cfssl/sign');
  });

  it('is believed nothing: whatever is not as it was ordered is refused', async () => {
    const stranger = createRootAuthority(Date.now());
    const lies: readonly (readonly [string, Changed | (() => Answer), RegExp, Authority?])[] = [
      ['another key', { publicKeyDer: otherKey() }, /for another key/],
      ['another node', { nodeId: newId(random) }, /was not asked for/],
      ['another cluster', { clusterId: newId(random) }, /was not asked for/],
      ['a manager', { role: 'manager' }, /names manager .* not asked for/],
      ['another root', {}, /authority key identifier|not signed by the root/, stranger],
      ['too long a life', { lifetimeMs: 400 * DAY_MS }, /later than asked/],
      ['over already', { nowMs: Date.now() - 30 * DAY_MS, lifetimeMs: DAY_MS }, /expired/],
      ['the start of the one before', { replacesNotBeforeMs: undefined }, /begins no later/],
      ['an authority', () => ({ kind: 'certificate', pem: rootPem.toString() }), /certificate of an authority/],
      ['no certificate', () => ({ kind: 'certificate', pem: 'rubbish' }), /not PEM/],
      ['no answer of CFSSL', () => ({ kind: 'text', status: 200, body: '{"success":' }), /not one of the CFSSL/],
      ['nothing', () => ({ kind: 'text', status: 200, body: 'null' }), /not one of the CFSSL/],
      ['a failure', () => ({ kind: 'text', status: 500, body: 'broken' }), /status 500/],
      [
        'a refusal',
        () => ({ kind: 'text', status: 400, body: '{"success":false,"errors":[{"code":1,"message":"no policy"}]}' }),
        /it refused: no policy/,
      ],
      ['too much', () => ({ kind: 'text', status: 200, body: 'x'.repeat(500_000) }), /longer than 65536 bytes/],
    ];
    for (const [what, lie, message, by = root] of lies) {
      server.answer = (order) =>
        typeof lie === 'function' ? lie() : { kind: 'certificate', pem: signAsOrdered(by, order, lie) };
      const order = orderFor('worker', { replacesNotBeforeMs: Date.now() - 60_000 });
      const refused = await failure(outside().sign([named(server.url)], root.certificate, order), 60_000);
      assert.equal(refused.reason, 'no-certificate', what);
      assert.match(refused.message, message, what);
      assert.match(refused.message, /https:\/\/localhost/, what);
      assert.match(refused.hint ?? '', /swarm update --external-ca/, what);
    }
  });

  it('is given up when it takes too long, in favour of the next; who failed comes last for a while', async () => {
    const second = await new CfsslServer(root).start();
    try {
      server.answer = () => ({ kind: 'never' });
      const authority = outside({ attemptTimeoutMs: 300 });
      const both = [named(server.url), named(second.url)];
      await authority.sign(both, root.certificate, orderFor('worker'));
      assert.deepEqual([server.orders.length, second.orders.length], [1, 1]);
      await authority.sign(both, root.certificate, orderFor('worker'));
      assert.deepEqual([server.orders.length, second.orders.length], [1, 2], 'the one that failed rests');
    } finally {
      await second.close();
    }
    const slow = await failure(
      outside({ totalTimeoutMs: 400 }).sign([named(server.url)], root.certificate, orderFor('worker')),
      60_000,
    );
    assert.match(slow.message, /no answer in time/);
  });

  it('must show a certificate of the root, or of its own; one that is not there is told by its address', async () => {
    const stranger = createRootAuthority(Date.now());
    const imposter = await new CfsslServer(stranger).start(false);
    const free = createServer().listen(0, '127.0.0.1');
    const port = (free.address() as { port: number } | null)?.port ?? 0; // of TCP
    await new Promise((resolve) => free.close(resolve));
    try {
      const untrusted = outside().sign([named(imposter.url)], root.certificate, orderFor('worker'));
      assert.match((await failure(untrusted, 60_000)).message, /self-signed certificate|unable to verify/);
      assert.equal(imposter.orders.length, 0, 'it was sent nothing');
      const gone = outside().sign([named(`https://localhost:${port}/`)], root.certificate, orderFor('worker'));
      assert.match((await failure(gone, 60_000)).message, /localhost:\d+.*ECONNREFUSED/);
    } finally {
      await imposter.close();
    }
  });

  it('is told of by the kind of its trouble, in the same words however often and whoever comes first', async () => {
    let requests = 0;
    server.answer = () => ({
      kind: 'text',
      status: 400,
      body: JSON.stringify({ success: false, errors: [{ message: `request ${++requests} of today` }] }),
    });
    const authority = outside();
    const all = [named(server.url), named('https://localhost:1/')];
    const attempt = async (): Promise<SigningFailure> => {
      const refused = await failure(authority.sign(all, root.certificate, orderFor('worker')), 60_000);
      assert.ok(refused instanceof SigningFailure);
      return refused;
    };
    const [first, second] = [await attempt(), await attempt()];
    assert.match(second.message, /it refused: request 2 of today/);
    assert.notEqual(second.message, first.message, 'whoever asks is told all of it');
    assert.equal(second.summary, first.summary);
    assert.match(first.summary, /sign: it refused; https:\/\/localhost:1\/: the connection failed \(the log/);
    server.answer = () => ({ kind: 'certificate', pem: signAsOrdered(root, must(server.orders.at(-1)).order, LATE) });
    assert.match((await attempt()).summary, /sign: its certificate will not do; /);
  });

  describe('of a swarm', () => {
    const parts = { clock: systemClock, logger: silentLogger };
    const options = (externalCas: readonly ExternalCa[]) => ({
      nowMs: Date.now(),
      random,
      hostname: 'first',
      availability: NodeAvailability.ACTIVE,
      featureLevel: 5,
      spec: ClusterSpec.create({ ca: CaConfig.create({ externalCas: [...externalCas] }) }),
    });
    const none = new Uint8Array();

    it('signs for the first manager, which has no certificate to show', async () => {
      const open = await new CfsslServer(root).start(false);
      try {
        const request = { caCertPem: rootPem, caKeyPem: none };
        const made = await bootstrapFor(request, options([named(open.url, { caCertPem: none })]), parts);
        assert.equal(open.orders[0]?.caller, undefined);
        assert.equal(made.cluster.rootCa?.keyPem.length, 0, 'managers have no key');
        const chain = parseCertificates(made.identity.certificatePem);
        assert.equal(verifyChain(chain, [root.certificate], Date.now()), undefined);
        assert.deepEqual(made.cluster.spec?.ca?.externalCas[0]?.caCertPem, rootPem, 'the root is filled in');
      } finally {
        await open.close();
      }
    });

    it('is refused for a root that the swarm makes by itself, and nothing is half given', async () => {
      const begin = (caCertPem: Uint8Array, caKeyPem: Uint8Array, cas: readonly ExternalCa[]) =>
        bootstrapFor({ caCertPem, caKeyPem }, options(cas), parts);
      const key = Buffer.from('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n');
      const other = Buffer.from(certificatesPem([createRootAuthority(Date.now()).certificate]));
      await assert.rejects(begin(none, none, [named(server.url)]), rejects('bad-field', /give|cannot sign for a root/));
      await assert.rejects(begin(none, key, []), rejects('bad-field', /--ca-key: is a key without its certificate/));
      await assert.rejects(begin(rootPem, none, []), rejects('bad-field', /--ca-key: without it/));
      await assert.rejects(
        begin(rootPem, none, [named(server.url, { caCertPem: other })]),
        rejects('bad-field', /cacert is another root/),
      );
      assert.equal(server.orders.length, 0);
    });

    const cluster = (keyPem: Uint8Array, externalCas: readonly ExternalCa[]): Cluster =>
      Cluster.create({
        id: CLUSTER_ID,
        spec: ClusterSpec.create({ ca: CaConfig.create({ externalCas: [...externalCas] }) }),
        rootCa: RootCa.create({
          certificatePem: rootPem,
          keyPem,
          digest: certificateDigest(root.certificate),
          joinTokens: JoinTokens.create(),
        }),
      });

    it('is named by an address and options that are known, and cannot be taken away from who needs it', () => {
      const settle = (externalCas: readonly ExternalCa[], present = cluster(none, [named(server.url)])) =>
        settleExternalCas(
          present,
          ClusterSpec.create({ ca: CaConfig.create({ externalCas: [...externalCas] }) }),
          Date.now(),
        );
      const bad: readonly (readonly [ExternalCa, RegExp])[] = [
        [named('http://ca/'), /must be an https/],
        [named('rubbish'), /must be an https/],
        [named('https://user:secret@ca/'), /holds a user name or a password/],
        [named('https://ca/', { options: { color: 'red' } }), /no option color/],
        [named('https://ca/', { protocol: 0 }), /protocol is none/],
        [named('https://ca/', { caCertPem: Buffer.from('x') }), /external-ca cacert: is not PEM/],
      ];
      for (const [authority, message] of bad)
        assert.throws(
          () => settle([authority]),
          (error: SwarmError) => message.test(error.message) && !error.message.includes('secret'),
          String(message),
        );
      assert.throws(
        () => settle(Array.from({ length: 9 }, (_, i) => named(`https://ca${i}/`))),
        rejects('bad-field', /8 at most/),
      );
      assert.throws(() => settle([]), rejects('bad-field', /nobody would sign/));
      const filled = settle([named('https://ca/', { caCertPem: none })]).ca?.externalCas[0];
      assert.deepEqual(filled?.caCertPem, rootPem);
    });

    it('signs for the root of the swarm that takes its place, and is checked in that, too', async () => {
      const present = cluster(none, [named(server.url)]);
      const own = { caCertPem: none, caKeyPem: none, externalCas: [] };
      const prepare = (): ReturnType<typeof prepareRoot> => prepareRoot(own, present, outside(), Date.now());
      const liar = createRootAuthority(Date.now());
      server.answer = () => ({ kind: 'certificate', pem: crossSigned(root, liar) });
      assert.match((await failure(prepare(), 60_000)).message, /for another key/);
      server.answer = () => ({ kind: 'certificate', pem: manager.certificatePem });
      assert.match((await failure(prepare(), 60_000)).message, /for another key|not one of an authority/);
      server.answer = (order) => ({ kind: 'certificate', pem: signOrderedRoot(order.certificate_request) });
      const prepared = await prepare();
      assert.equal(server.orders.at(-1)?.order.profile, 'CA');
      const cross = parseCertificates(prepared.crossSignedPem);
      assert.equal(verifyChain(cross, [root.certificate], Date.now()), undefined);
    });

    it('stands in the way of a renewal when nobody answers, and everybody is told', async () => {
      const setup = await new Setup().init();
      const { nodeId } = await setup.join(setup.token('worker'), generateKeyPair());
      const caller = { identity: await setup.certified(nodeId), address: '192.0.2.1' };
      const withAuthorities = (externalCas: readonly ExternalCa[]) =>
        setup.change((one) => ({
          ...one,
          spec: ClusterSpec.create({ ca: CaConfig.create({ externalCas: [...externalCas] }) }),
        }));
      await withAuthorities([named('https://localhost:1/sign', { caCertPem: none })]);
      const refused = await failure(setup.issue({ csrPem: csrOf(generateKeyPair()) }, caller), 60_000);
      assert.equal(refused.reason, 'no-certificate');
      const joining = await failure(setup.join(setup.token('worker'), generateKeyPair()), 60_000);
      assert.equal(joining.reason, 'no-certificate');
      assert.equal(setup.store.nodes().length, 2, 'who got no certificate is no node');
      const noted = setup.store.view().get('node', nodeId)?.certificate;
      assert.equal(noted?.state, IssuanceState.ISSUED, 'the certificate that it has still holds');
      assert.match(noted.error, /no external certificate authority signed: https:\/\/localhost:1/);
      const node = setup.store.view().get('node', nodeId);
      await failure(setup.issue({ csrPem: csrOf(generateKeyPair()) }, caller), 60_000);
      assert.equal(setup.store.view().get('node', nodeId), node, 'the same trouble is written once');

      await withAuthorities([]);
      await setup.issue({ csrPem: csrOf(generateKeyPair()) }, caller);
      assert.equal(setup.store.view().get('node', nodeId)?.certificate?.error, '');
    });

    it('is named in the warnings of a manager', () => {
      const view = new MemoryView();
      const waiting = NodeCertificate.create({ state: IssuanceState.ISSUED, error: 'no external authority signed' });
      view.commit([
        { kind: 'create', table: 'cluster', object: cluster(none, []) },
        { kind: 'create', table: 'node', object: Node.create({ id: 'n'.repeat(25), certificate: waiting }) },
      ]);
      assert.deepEqual(authorityWarnings(view, Date.now()), [
        `no new certificate for ${'n'.repeat(25)}: no external authority signed`,
      ]);
      assert.match(
        authorityWarnings(view, Date.now() + 19.5 * 365 * DAY_MS)[0] ?? '',
        /the root .* expires on .*swarm ca/,
      );
    });

    it('cannot be followed by another one whose key nobody has here', async () => {
      const other = createRootAuthority(Date.now());
      const otherPem = Buffer.from(certificatesPem([other.certificate]));
      const wanted = { caCertPem: otherPem, caKeyPem: none, externalCas: [named(server.url, { caCertPem: otherPem })] };
      const refused = await failure(prepareRoot(wanted, cluster(none, [named(server.url)]), outside(), Date.now()));
      assert.match(refused.message, /from one external authority to another/);
      assert.match(refused.hint ?? '', /swarm ca --rotate/);
    });
  });
});
