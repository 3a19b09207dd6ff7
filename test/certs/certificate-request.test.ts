/** Requests come from strangers: OpenSSL's are read, ours are read by OpenSSL, and rubbish gets a clear answer. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createCertificateRequest, parseCertificateRequest } from '#certs/certificate-request.ts';
import { generateKeyPair, publicKeyDer } from '#certs/key.ts';
import { decodePem, encodePem } from '#certs/pem.ts';
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import { openssl, withFiles } from './openssl.ts';
import { flip, rejects } from './rejects.ts';

function derOf(pem: string): Buffer {
  return decodePem(pem, 'CERTIFICATE REQUEST', { maxBytes: 1e6, maxBlocks: 1 }, 'test')[0] ?? Buffer.alloc(0);
}

describe('certificate requests', () => {
  it('are verified by openssl', async () => {
    const request = createCertificateRequest(generateKeyPair(), { commonName: 'n'.repeat(25) });
    await withFiles({ csr: request }, async (path) => {
      const out = await openssl('req', '-verify', '-noout', '-text', '-in', path('csr'));
      assert.match(out, /verify OK/);
      assert.match(out, /Subject: CN = n{25}\n/);
    });
  });

  it('are read back with key and subject', () => {
    const keys = generateKeyPair();
    const request = parseCertificateRequest(createCertificateRequest(keys, { commonName: 'me', organization: 'o' }));
    assert.deepEqual(request.publicKeyDer, publicKeyDer(keys.publicKey));
    assert.equal(request.subject.commonName, 'me');
    assert.equal(parseCertificateRequest(createCertificateRequest(keys)).subject.commonName, undefined);
  });

  it('of openssl are read, whatever else they wish for', async () => {
    const pem = await withFiles({}, async (path) => {
      await openssl(
        ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-sha256'],
        ...['-subj', '/C=XX/O=a/OU=swarm-manager/CN=b', '-addext', 'subjectAltName=DNS:swarm-ca'],
        ...['-keyout', path('key'), '-out', path('csr')],
      );
      return openssl('req', '-in', path('csr'));
    });
    assert.equal(parseCertificateRequest(pem).subject.organizationalUnit, 'swarm-manager');
  });

  it('for other kinds of key, or signed otherwise, are refused by name', async () => {
    const make = (...kind: string[]): Promise<string> =>
      withFiles({}, async (path) => {
        await openssl('req', '-new', '-nodes', '-subj', '/CN=b', '-keyout', path('key'), '-out', path('csr'), ...kind);
        return openssl('req', '-in', path('csr'));
      });
    const rsa = await make('-newkey', 'rsa:2048');
    assert.throws(() => parseCertificateRequest(rsa), rejects('bad-certificate', /signed by algorithm/));
    const p384 = await make('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-sha256');
    assert.throws(() => parseCertificateRequest(p384), rejects('bad-certificate', /not an ECDSA P-256 key/));
    const explicit = await make(
      ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-pkeyopt', 'ec_param_enc:explicit', '-sha256'],
    );
    assert.throws(() => parseCertificateRequest(explicit), rejects('bad-certificate', /not an ECDSA P-256 key/));
  });

  it('with the key of somebody else are refused: the signature shows it', () => {
    const mine = derOf(createCertificateRequest(generateKeyPair()));
    const theirs = publicKeyDer(generateKeyPair().publicKey);
    const point = theirs.subarray(-65);
    const forged = Buffer.from(mine);
    point.copy(forged, forged.indexOf(Buffer.of(0x03, 0x42, 0x00, 0x04)) + 3);
    assert.throws(
      () => parseCertificateRequest(encodePem('CERTIFICATE REQUEST', forged)),
      rejects('bad-certificate', /signature does not match/),
    );
  });

  it('with a key that is not on the curve are refused', () => {
    const bytes = derOf(createCertificateRequest(generateKeyPair()));
    const at = bytes.indexOf(Buffer.of(0x03, 0x42, 0x00, 0x04)) + 10;
    flip(bytes, at, 1);
    assert.throws(
      () => parseCertificateRequest(encodePem('CERTIFICATE REQUEST', bytes)),
      rejects('bad-certificate', /not a point/),
    );
  });

  it('over the limit are refused before they are looked at, naming the limit', () => {
    const error = (() => {
      try {
        parseCertificateRequest('x'.repeat(LIMITS.CSR_BYTES + 1));
      } catch (thrown) {
        return thrown;
      }
      return undefined;
    })();
    assert.ok(error instanceof SwarmError);
    assert.equal(error.reason, 'too-large');
    assert.equal(error.limit, 'CSR_BYTES');
  });

  it('with any bytes changed are refused, and nothing else happens', () => {
    const original = derOf(createCertificateRequest(generateKeyPair(), { commonName: 'me' }));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(original.length - 1), fc.integer({ min: 1, max: 255 })), {
          minLength: 1,
          maxLength: 3,
        }),
        fc.boolean(),
        (changes, truncate) => {
          let bytes = Buffer.from(original);
          for (const [at, bits] of changes) flip(bytes, at, bits);
          if (truncate) bytes = bytes.subarray(0, changes[0]?.[0]);
          if (bytes.equals(original)) return; // two changes that cancel out
          try {
            parseCertificateRequest(encodePem('CERTIFICATE REQUEST', bytes));
          } catch (error) {
            assert.ok(error instanceof SwarmError, String(error));
            assert.equal(error.reason, 'bad-certificate');
            return;
          }
          assert.fail('a changed request was accepted');
        },
      ),
      { numRuns: 2000 },
    );
  });
});
