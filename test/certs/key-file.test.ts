import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { generateKeyPair, keysMatch, publicKeyDer } from '#certs/key.ts';
import { decodeKeyFile, encodeKeyFile, privateKeyPem } from '#certs/key-file.ts';
import { openssl, withFiles } from './openssl.ts';
import { rejects } from './rejects.ts';

const decode = (text: string): ReturnType<typeof decodeKeyFile> => decodeKeyFile(Buffer.from(text), 'node.key');

describe('key files', () => {
  const keys = generateKeyPair();

  it('keep the key and the headers, also those that this version does not know', () => {
    const headers = new Map([['kek-version', '7']]);
    const file = decode(encodeKeyFile({ privateKey: keys.privateKey, headers }));
    assert.deepEqual(file.headers, headers);
    assert.ok(keysMatch(file.privateKey, publicKeyDer(keys.publicKey)));
  });

  it('are read by openssl as they are', async () => {
    const text = encodeKeyFile({ privateKey: keys.privateKey, headers: new Map([['a', 'b']]) });
    await withFiles({ key: text }, async (path) => {
      const out = await openssl('pkey', '-in', path('key'), '-noout', '-text');
      assert.match(out, /ASN1 OID: prime256v1/);
    });
  });

  it('may be plain PKCS#8, as openssl writes it', async () => {
    const text = await openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256');
    assert.equal(decode(text).privateKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  });

  const pem = privateKeyPem(keys.privateKey);
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
  const refusals: readonly [name: string, text: string, message: RegExp][] = [
    ['nothing', '', /node.key: holds no key/],
    ['text', 'format: 1\n', /holds no key/],
    ['a malformed header', `Format 1\n${pem}`, /malformed header/],
    ['a header twice', `a: b\na: c\n${pem}`, /malformed header/],
    ['another label', pem.replaceAll('PRIVATE', 'EC PRIVATE'), /other than "-----BEGIN PRIVATE KEY-----"/],
    ['a cut file', pem.slice(0, -40), /cut short|not base64/],
    ['bytes that are no key', pem.replace(/\n.{8}/, '\nAAAAAAAA'), /not a PKCS#8 private key/],
    ['another kind of key', privateKeyPem(rsa), /not an ECDSA P-256 key/],
    ['a large file', 'a'.repeat(20_000), /larger than/],
  ];
  for (const [name, text, message] of refusals)
    it(`refuse ${name}`, () => assert.throws(() => decode(text), rejects('bad-certificate', message)));

  it('of a later format are refused by name', () => {
    assert.throws(() => decode(`format: 3\n${pem}`), rejects('corrupt-state', /does not read/));
  });
});
