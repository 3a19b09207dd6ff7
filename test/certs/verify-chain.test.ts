/** Which certificates are accepted without a TLS connection, and what is said of the others. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { type Certificate, parseCertificates } from '#certs/certificate.ts';
import { verifyChain } from '#certs/verify-chain.ts';
import { testAuthority, testNode } from './fixtures.ts';
import { openssl, withFiles } from './openssl.ts';
import { flip, must } from './rejects.ts';

const HOUR_MS = 60 * 60 * 1000;
const now = Date.now();

describe('verifyChain', () => {
  const authority = testAuthority();
  const roots = [authority.certificate];
  const chainOf = (pem: string): Certificate[] => parseCertificates(pem);

  it('accepts what the root signed', () => {
    assert.equal(verifyChain(chainOf(testNode(authority, 'worker').certificatePem), roots, now), undefined);
  });

  it('accepts it by any of several roots, as during a rotation', () => {
    const other = testAuthority().certificate;
    const chain = chainOf(testNode(authority, 'worker').certificatePem);
    assert.equal(verifyChain(chain, [other, authority.certificate], now), undefined);
  });

  it('refuses what another root of the same name signed', () => {
    const chain = chainOf(testNode(testAuthority(), 'worker').certificatePem);
    assert.equal(verifyChain(chain, roots, now)?.reason, 'wrong-cluster');
  });

  it('refuses what a node signed', () => {
    // A worker's key in the place of an authority's: its certificate has no right to sign.
    const keys = testNode(authority, 'worker');
    const [certificate] = chainOf(keys.certificatePem);
    assert.ok(certificate);
    const fake = { certificate, privateKey: authority.privateKey };
    const chain = [...chainOf(testNode(fake, 'manager').certificatePem), certificate];
    assert.equal(verifyChain(chain, roots, now)?.reason, 'wrong-cluster');
    assert.equal(verifyChain(chain, [certificate], now)?.reason, 'wrong-cluster');
  });

  it('refuses a changed certificate', () => {
    const [leaf] = chainOf(testNode(authority, 'worker').certificatePem);
    assert.ok(leaf);
    const signedPart = Buffer.from(leaf.signedPart);
    flip(signedPart, 20, 1);
    assert.equal(verifyChain([{ ...leaf, signedPart }], roots, now)?.reason, 'wrong-cluster');
  });

  it('refuses what is out of its time, naming both clocks', () => {
    const chain = chainOf(testNode(authority, 'worker', { lifetimeMs: HOUR_MS }).certificatePem);
    const late = verifyChain(chain, roots, now + 2 * HOUR_MS);
    assert.equal(late?.reason, 'expired');
    assert.match(late.message, /expired at .* and it is .* here/);
    const early = verifyChain(chain, roots, now - 2 * HOUR_MS);
    assert.equal(early?.reason, 'expired');
    assert.match(early.message, /holds only from .* on, and it is .* here/);
  });

  it('refuses nothing at all', () => {
    assert.equal(verifyChain([], roots, now)?.reason, 'bad-certificate');
  });

  it('follows intermediates, and their limits', async () => {
    await withFiles({}, async (path) => {
      const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-sha256'];
      const ca = 'basicConstraints=critical,CA:TRUE,pathlen:';
      const signed = async (name: string, issuer: string, extension: string): Promise<Certificate> => {
        await openssl(
          'req',
          '-new',
          ...key,
          '-subj',
          `/CN=${name}`,
          '-keyout',
          path(`${name}.key`),
          '-out',
          path(`${name}.csr`),
        );
        await writeFile(path('ext'), extension);
        const by = ['-CA', path(`${issuer}.crt`), '-CAkey', path(`${issuer}.key`), '-CAcreateserial'];
        await openssl(
          'x509',
          '-req',
          '-in',
          path(`${name}.csr`),
          ...by,
          '-extfile',
          path('ext'),
          '-days',
          '2',
          '-sha256',
          '-out',
          path(`${name}.crt`),
        );
        return must(chainOf(await openssl('x509', '-in', path(`${name}.crt`)))[0]);
      };
      await openssl(
        'req',
        '-x509',
        ...key,
        '-days',
        '1',
        '-subj',
        '/CN=root',
        '-addext',
        'basicConstraints=critical,CA:TRUE,pathlen:1',
        '-keyout',
        path('root.key'),
        '-out',
        path('root.crt'),
      );
      const root = must(chainOf(await openssl('x509', '-in', path('root.crt')))[0]);
      const middle = await signed('middle', 'root', `${ca}0`);
      const leaf = await signed('leaf', 'middle', 'basicConstraints=CA:FALSE');
      assert.equal(verifyChain([leaf, middle], [root], Date.now() + 1000), undefined);
      assert.equal(verifyChain([leaf], [root], Date.now() + 1000)?.reason, 'wrong-cluster');
      // A certificate that is no authority's signs nothing, whatever its key usage leaves open.
      const plain = await signed('plain', 'root', 'basicConstraints=CA:FALSE');
      const below = await signed('below', 'plain', 'basicConstraints=CA:FALSE');
      assert.equal(verifyChain([below, plain], [root], Date.now() + 1000)?.reason, 'wrong-cluster');
      // The root has run out after one day, the others hold for two.
      const late = verifyChain([leaf, middle], [root], Date.now() + 36 * HOUR_MS);
      assert.equal(late?.reason, 'expired');
      assert.match(late.message, /the certificate of root expired/);
      // `middle` may have no authority below it.
      const lower = await signed('lower', 'middle', `${ca}0`);
      const deep = await signed('deep', 'lower', 'basicConstraints=CA:FALSE');
      assert.equal(verifyChain([deep, lower, middle], [root], Date.now() + 1000)?.reason, 'wrong-cluster');
    });
  });
});
