/**
 * Certificates as OpenSSL and Node see them, and what our own reader takes from them.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { certificateDigest, createRootAuthority, issueNodeCertificate, loadAuthority } from '#certs/authority.ts';
import { certificatesPem, parseCertificate, parseCertificates } from '#certs/certificate.ts';
import { CERTIFICATE_CONFIG } from '#certs/config.ts';
import { certifiedIdentity } from '#certs/identity.ts';
import { generateKeyPair, publicKeyDer } from '#certs/key.ts';
import { SwarmError } from '#common/errors.ts';
import { CLUSTER_ID, testAuthority, testNode } from './fixtures.ts';
import { openssl, withFiles } from './openssl.ts';
import { flip, rejects } from './rejects.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

describe('certificates', () => {
  it('are accepted by openssl verify for both directions of TLS, and carry what Swarm puts there', async () => {
    const authority = testAuthority();
    const manager = testNode(authority, 'manager');
    const worker = testNode(authority, 'worker');
    const files = {
      'root.crt': manager.rootsPem,
      'manager.crt': manager.certificatePem,
      'worker.crt': worker.certificatePem,
    };
    await withFiles(files, async (path) => {
      for (const name of ['manager.crt', 'worker.crt'])
        for (const purpose of ['sslserver', 'sslclient']) {
          const out = await openssl(
            'verify',
            '-x509_strict',
            '-purpose',
            purpose,
            '-CAfile',
            path('root.crt'),
            path(name),
          );
          assert.match(out, /: OK/);
        }
      const root = await openssl('x509', '-noout', '-text', '-in', path('root.crt'));
      assert.match(root, /Issuer: CN = swarm-ca\n/);
      assert.match(root, /Subject: CN = swarm-ca\n/);
      assert.match(root, /CA:TRUE/);
      assert.match(root, /Certificate Sign, CRL Sign/);

      const text = await openssl('x509', '-noout', '-text', '-in', path('manager.crt'));
      const { nodeId } = manager.identity;
      assert.match(text, new RegExp(`Subject: O = ${CLUSTER_ID}, OU = swarm-manager, CN = ${nodeId}\n`));
      assert.match(text, new RegExp(`DNS:swarm-manager, DNS:${nodeId}, DNS:swarm-ca\n`));
      assert.match(text, /X509v3 Basic Constraints: critical\s+CA:FALSE/);
      assert.match(text, /X509v3 Key Usage: critical\s+Digital Signature\n/);
      assert.match(text, /TLS Web Server Authentication, TLS Web Client Authentication/);
      assert.match(text, /ASN1 OID: prime256v1/);
      const workerText = await openssl('x509', '-noout', '-text', '-in', path('worker.crt'));
      assert.match(workerText, new RegExp(`DNS:swarm-worker, DNS:${worker.identity.nodeId}\n`));
      assert.doesNotMatch(workerText, /DNS:swarm-ca/);
    });
  });

  it('are signed by the right root: Node agrees', () => {
    const authority = testAuthority();
    const leaf = new X509Certificate(testNode(authority, 'worker').certificatePem);
    const root = new X509Certificate(certificatesPem([authority.certificate]));
    assert.ok(leaf.checkIssued(root));
    assert.ok(leaf.verify(root.publicKey));
    assert.ok(!leaf.ca);
    assert.ok(root.ca);
    const other = new X509Certificate(certificatesPem([testAuthority().certificate]));
    assert.ok(!leaf.verify(other.publicKey));
  });

  it('say who the node is, since when and until when', () => {
    const nowMs = Date.UTC(2030, 0, 31, 12, 0, 0);
    const authority = createRootAuthority(nowMs - DAY_MS);
    const node = testNode(authority, 'manager', { nowMs });
    const [certificate] = parseCertificates(node.certificatePem);
    assert.ok(certificate);
    const found = certifiedIdentity(certificate);
    assert.equal(found.nodeId, node.identity.nodeId);
    assert.equal(found.role, 'manager');
    assert.equal(found.clusterId, CLUSTER_ID);
    assert.equal(found.notBeforeMs, nowMs - 60 * 60 * 1000);
    assert.equal(found.notAfterMs, nowMs + 90 * DAY_MS);
    assert.equal(found.issuerKeyId, authority.certificate.subjectKeyId);
    assert.match(found.serial, /^[4-7][0-9a-f]{31}$/);
    assert.equal(found.serial.toUpperCase(), new X509Certificate(node.certificatePem).serialNumber);
  });

  it('of a root hold for 20 years, past the year 2050 too', () => {
    const nowMs = Date.UTC(2035, 5, 1);
    const { certificate } = createRootAuthority(nowMs);
    assert.equal(certificate.notAfterMs, nowMs + CERTIFICATE_CONFIG.rootLifetimeMs);
    assert.equal(Date.parse(new X509Certificate(certificate.der).validTo), certificate.notAfterMs);
  });

  it('never outlive or predate the root that signs them', () => {
    const nowMs = Date.UTC(2030, 0, 1);
    const authority = createRootAuthority(nowMs);
    const late = nowMs + CERTIFICATE_CONFIG.rootLifetimeMs - DAY_MS;
    const [certificate] = parseCertificates(testNode(authority, 'worker', { nowMs: late }).certificatePem);
    assert.equal(certificate?.notAfterMs, authority.certificate.notAfterMs);
    const early = nowMs - CERTIFICATE_CONFIG.backdateMs / 2;
    const [first] = parseCertificates(testNode(authority, 'worker', { nowMs: early }).certificatePem);
    assert.equal(first?.notBeforeMs, authority.certificate.notBeforeMs);
  });

  it('have a digest that openssl computes too', async () => {
    const { certificate } = testAuthority();
    await withFiles({ 'root.crt': certificatesPem([certificate]) }, async (path) => {
      const out = await openssl('x509', '-noout', '-fingerprint', '-sha256', '-in', path('root.crt'));
      const hex = /=([0-9A-F:]+)/.exec(out)?.[1]?.replaceAll(':', '').toLowerCase();
      assert.equal(certificateDigest(certificate), hex);
    });
  });

  it('of an authority are not taken for a node, nor others’ certificates for ours', async () => {
    const { certificate } = testAuthority();
    assert.throws(() => certifiedIdentity(certificate), rejects('bad-certificate', /of an authority/));
    const foreign = await withFiles({}, async (path) => {
      await openssl(
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-sha256', '-days', '2'],
        ...['-subj', '/O=Example/OU=swarm-manager/CN=not-a-node', '-addext', 'basicConstraints=critical,CA:FALSE'],
        ...['-keyout', path('key'), '-out', path('crt')],
      );
      return openssl('x509', '-in', path('crt'));
    });
    const [parsed] = parseCertificates(foreign);
    assert.ok(parsed);
    assert.equal(parsed.subject.organizationalUnit, 'swarm-manager');
    assert.throws(() => certifiedIdentity(parsed), rejects('bad-certificate', /CN is not a node id/));
  });

  it('of other kinds of key are refused by name', async () => {
    await withFiles({}, async (path) => {
      const base = [
        'req',
        '-x509',
        '-nodes',
        '-subj',
        '/CN=x',
        '-days',
        '2',
        '-keyout',
        path('key'),
        '-out',
        path('crt'),
      ];
      await openssl(...base, '-newkey', 'rsa:2048');
      const rsa = await openssl('x509', '-in', path('crt'));
      assert.throws(() => parseCertificates(rsa), rejects('bad-certificate', /signed by algorithm/));
      await openssl(...base, '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-sha256');
      const p384 = await openssl('x509', '-in', path('crt'));
      assert.throws(() => parseCertificates(p384), rejects('bad-certificate', /not an ECDSA P-256 key/));
    });
  });

  it('do not load as an authority with another key', () => {
    const { certificate } = testAuthority();
    assert.throws(
      () => loadAuthority(certificate, generateKeyPair().privateKey),
      rejects('bad-certificate', /does not belong to the root key/),
    );
  });

  it('survive any change of bytes as an error or as a certificate whose signature fails, never as a crash', () => {
    const authority = testAuthority();
    const [original] = parseCertificates(testNode(authority, 'worker').certificatePem);
    assert.ok(original);
    const { der } = original;
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(3), (at, bits, cut) => {
        const changed = Buffer.from(der.subarray(0, der.length - cut));
        flip(changed, Math.min(at, changed.length - 1), bits);
        try {
          const parsed = parseCertificate(changed);
          // The change is within what is signed, or in the signature itself.
          assert.ok(!parsed.signedPart.equals(original.signedPart) || !parsed.signature.equals(original.signature));
        } catch (error) {
          assert.ok(error instanceof SwarmError, String(error));
          assert.equal(error.reason, 'bad-certificate');
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('are issued at 500 a second and more', () => {
    const authority = testAuthority();
    const key = publicKeyDer(generateKeyPair().publicKey);
    const order = { publicKeyDer: key, nowMs: Date.now(), lifetimeMs: DAY_MS };
    const who = { nodeId: 'a'.repeat(25), role: 'worker', clusterId: CLUSTER_ID } as const;
    const startMs = performance.now();
    for (let i = 0; i < 100; i++) issueNodeCertificate(authority, { identity: who, ...order });
    const elapsedMs = performance.now() - startMs;
    assert.ok(elapsedMs < 200 * 5, `100 certificates took ${elapsedMs} ms`); // 5: other work on the machine
  });
});
