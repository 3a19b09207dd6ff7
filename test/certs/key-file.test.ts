import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { generateKeyPair, keysMatch, publicKeyDer } from '#certs/key.ts';
import { decodeKeyFile, encodeKeyFile, keyFileFacts, privateKeyPem } from '#certs/key-file.ts';
import { createUnlockKey } from '#certs/unlock-key.ts';
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

  describe('that are locked', () => {
    const lock = { key: createUnlockKey(), version: 7 };
    const headers = new Map([['exposed', 'yes']]);
    const text = encodeKeyFile({ privateKey: keys.privateKey, headers }, lock);
    const unlocked = (content: string, key = lock.key): ReturnType<typeof decodeKeyFile> =>
      decodeKeyFile(Buffer.from(content), 'node.key', key);

    it('say which unlock key they need, and are opened by it', () => {
      assert.deepEqual(keyFileFacts(Buffer.from(text), 'node.key'), { headers, lockVersion: 7 });
      const file = unlocked(text);
      assert.deepEqual(file.headers, headers);
      assert.ok(keysMatch(file.privateKey, publicKeyDer(keys.publicKey)));
      assert.throws(() => decode(text), rejects('locked', /needs to be unlocked/));
      assert.throws(() => unlocked(text, createUnlockKey()), rejects('wrong-key', /version 7 of the unlock key/));
    });

    it('are not read by openssl, and hold nothing of the key in the clear', async () => {
      await withFiles({ key: text }, (path) => assert.rejects(openssl('pkey', '-in', path('key'), '-noout')));
      const der = Buffer.from(text.split('\n').slice(4, -2).join(''), 'base64');
      const { d = '' } = keys.privateKey.export({ format: 'jwk' });
      assert.ok(!der.includes(Buffer.from(d, 'base64url')));
    });

    it('are refused where anything in them was changed', () => {
      for (const changed of [
        text.replace('exposed: yes', 'exposed: no'),
        text.replace('exposed: yes\n', ''),
        text.replace('lock-version: 7', 'lock-version: 8'),
      ])
        assert.throws(() => unlocked(changed), rejects('wrong-key', /does not open|do not open/));
      for (const [changed, message] of [
        [text.replace('lock-version: 7\n', ''), /does not say which unlock key/],
        [text.replace('lock-version: 7', 'lock-version: 0'), /does not say which unlock key/],
        [text.replace('format: 2', 'format: 1'), /other than "-----BEGIN PRIVATE KEY-----"/],
      ] as const)
        assert.throws(() => unlocked(changed), rejects('bad-certificate', message));
    });
  });

  it('of a later format are refused by name', () => {
    assert.throws(() => decode(`format: 3\n${pem}`), rejects('corrupt-state', /does not read/));
  });
});
