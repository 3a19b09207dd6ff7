/**
 * Goal: a token and a certificate request give their owner one membership in one role, and nothing of anybody else's.
 * Method: the manager's own server over TLS, and requests as openssl or an attacker writes them.
 */
import assert from 'node:assert/strict';
import { type Certificate, parseCertificates } from '#certs/certificate.ts';
import { createCertificateRequest, parseCertificateRequest } from '#certs/certificate-request.ts';
import { certifiedIdentity } from '#certs/identity.ts';
import { createJoinToken } from '#certs/join-token.ts';
import { generateKeyPair, type KeyPair, keysMatch } from '#certs/key.ts';
import { privateKeyPem } from '#certs/key-file.ts';
import { encodePem } from '#certs/pem.ts';
import { CertificateAuthorityService } from '#gen/swarm/v1/ca.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { createClient } from '#proto/grpc/client.ts';
import { openssl, withFiles } from '#test/certs/openssl.ts';
import { flip, must } from '#test/certs/rejects.ts';
import { failure } from '#test/support/failure.ts';
import { GuardedManager, type Shown } from './guarded-manager.ts';

describe('tokens and certificate requests of attackers', function () {
  this.timeout(60_000);
  let manager: GuardedManager;
  let tokens: { readonly worker: string; readonly manager: string };

  before(async () => {
    manager = await GuardedManager.start();
    tokens = must(manager.swarm.cluster.rootCa?.joinTokens);
  });
  after(() => manager.close());

  const ca = (shown?: Shown) => createClient(CertificateAuthorityService, manager.connect(shown));
  const csrOf = (keys: KeyPair): Uint8Array => Buffer.from(createCertificateRequest(keys));
  const nodes = (): number => manager.swarm.a.store.view().count('node');

  async function issuedTo(nodeId: string): Promise<Certificate> {
    const { certificatePem } = await ca().getNodeCertificateStatus({ nodeId });
    return must(parseCertificates(certificatePem)[0]);
  }

  /** A request as openssl writes it. */
  function opensslRequest(keys: KeyPair, subject: string, ...extensions: string[]): Promise<Uint8Array> {
    return withFiles({ key: privateKeyPem(keys.privateKey) }, async (path) => {
      const added = extensions.flatMap((extension) => ['-addext', extension]);
      await openssl('req', '-new', '-key', path('key'), '-subj', subject, ...added, '-out', path('csr'));
      return Buffer.from(await openssl('req', '-in', path('csr')));
    });
  }

  it('the token of a worker never makes a manager, whatever the request says', async () => {
    const keys = generateKeyPair();
    const wish = ['subjectAltName=DNS:swarm-ca,DNS:swarm-manager,IP:192.0.2.1', 'basicConstraints=critical,CA:TRUE'];
    const csrPem = await opensslRequest(keys, `/O=${manager.swarm.cluster.id}/OU=swarm-manager`, ...wish);
    const { nodeId, role } = await ca().issueNodeCertificate({ token: tokens.worker, csrPem });
    assert.equal(role, NodeRole.WORKER);
    const certificate = await issuedTo(nodeId);
    assert.equal(certifiedIdentity(certificate).role, 'worker');
    assert.equal(certificate.isAuthority, false);
    assert.deepEqual([...certificate.dnsNames].sort(), ['swarm-worker', nodeId].sort());
    assert.ok(keysMatch(keys.privateKey, certificate.publicKeyDer));
  });

  it('a request for the name of another node is refused, by token and by certificate', async () => {
    const before = nodes();
    const csrPem = await opensslRequest(generateKeyPair(), `/CN=${manager.swarm.b.nodeId}`);
    const worker = manager.mint();
    await manager.admit(worker);
    for (const call of [
      ca().issueNodeCertificate({ token: tokens.manager, csrPem }),
      ca(worker).issueNodeCertificate({ csrPem }),
    ])
      assert.match((await failure(call)).message, /cannot have a certificate for node/);
    assert.equal(nodes(), before + 1);
  });

  it('a request whose signature is not by its key, or that was changed after, is refused', async () => {
    const own = generateKeyPair();
    const der = Buffer.from(createCertificateRequest(own).replace(/-----[A-Z ]+-----|\n/g, ''), 'base64');
    const changed = Buffer.from(der);
    flip(changed, changed.length - 3, 1);
    // The key of a manager in the request of somebody who does not have it.
    const victim = generateKeyPair();
    const stolen = Buffer.from(createCertificateRequest(victim).replace(/-----[A-Z ]+-----|\n/g, ''), 'base64');
    const { publicKeyDer } = parseCertificateRequest(Buffer.from(createCertificateRequest(own)));
    const swapped = Buffer.from(stolen);
    publicKeyDer.copy(
      swapped,
      swapped.indexOf(parseCertificateRequest(Buffer.from(createCertificateRequest(victim))).publicKeyDer),
    );
    for (const bytes of [changed, swapped]) {
      const csrPem = Buffer.from(encodePem('CERTIFICATE REQUEST', bytes));
      const error = await failure(ca().issueNodeCertificate({ token: tokens.worker, csrPem }));
      assert.equal(error.reason, 'bad-certificate', error.message);
    }
  });

  it('a request that was overheard and is sent again makes no second node, no other role, and needs a token', async () => {
    const keys = generateKeyPair();
    const csrPem = csrOf(keys);
    const { nodeId } = await ca().issueNodeCertificate({ token: tokens.manager, csrPem });
    const before = nodes();
    const { serial } = await issuedTo(nodeId);
    assert.equal((await failure(ca().issueNodeCertificate({ csrPem }))).reason, 'bad-token');
    assert.equal((await failure(ca().issueNodeCertificate({ token: tokens.worker, csrPem }))).reason, 'wrong-role');
    const again = await ca().issueNodeCertificate({ token: tokens.manager, csrPem });
    assert.deepEqual([again.nodeId, nodes()], [nodeId, before]);
    assert.equal((await issuedTo(nodeId)).serial, serial, 'it is no use without the key, and displaces nothing');
  });

  it('a request that another member sends makes it nobody but itself', async () => {
    const victim = manager.mint({ role: 'manager' });
    await manager.admit(victim);
    const worker = manager.mint();
    await manager.admit(worker);
    const { nodeId } = await ca(worker).issueNodeCertificate({ csrPem: csrOf(victim.keys) });
    assert.equal(nodeId, worker.names.nodeId);
    assert.equal(certifiedIdentity(await issuedTo(nodeId)).role, 'worker');
    const untouched = manager.swarm.a.store.view().get('node', victim.names.nodeId);
    assert.equal(untouched?.certificate, undefined);
  });

  it('a member cannot use a join token, of any role', async () => {
    const worker = manager.mint();
    await manager.admit(worker);
    const call = ca(worker).issueNodeCertificate({ token: tokens.manager, csrPem: csrOf(generateKeyPair()) });
    assert.match((await failure(call)).message, /is a member already and cannot use a join token/);
  });

  it('tokens of another cluster, wrong ones and rotated ones are refused, and none is told', async () => {
    const { store } = manager.swarm.a;
    const cluster = must(store.view().cluster());
    const rootCa = must(cluster.rootCa);
    const other = createJoinToken('a'.repeat(64));
    const wrong = createJoinToken(rootCa.digest);
    const rotated = tokens.worker;
    const joinTokens = { worker: createJoinToken(rootCa.digest), manager: tokens.manager };
    await store.commit([
      { kind: 'update', table: 'cluster', object: { ...cluster, rootCa: { ...rootCa, joinTokens } } },
    ]);
    const before = nodes();
    for (const [token, reason] of [
      [other, 'wrong-cluster'],
      [wrong, 'bad-token'],
      [rotated, 'bad-token'],
      ['', 'bad-token'],
      [`${joinTokens.worker}0`, 'bad-token'],
    ] as const) {
      const error = await failure(ca().issueNodeCertificate({ token, csrPem: csrOf(generateKeyPair()) }));
      assert.equal(error.reason, reason, error.message);
      const secret = token.split('-')[3] ?? 'no secret';
      for (const text of [error.message, error.hint ?? '']) {
        assert.ok(!text.includes(secret) && !text.includes(joinTokens.worker), text);
      }
    }
    assert.equal(nodes(), before);
    const { role } = await ca().issueNodeCertificate({ token: joinTokens.worker, csrPem: csrOf(generateKeyPair()) });
    assert.equal(role, NodeRole.WORKER, 'the new one is good');
  });
});
