/** Roots that somebody brings along: made by openssl, as users make them. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { authorityKeyId, createRootAuthority, crossSign } from '#certs/authority.ts';
import { certificatesPem } from '#certs/certificate.ts';
import { privateKeyPem } from '#certs/key-file.ts';
import { readOwnAuthority, readOwnRoot } from '#certs/own-root.ts';
import { verifyChain } from '#certs/verify-chain.ts';
import { SwarmError } from '#common/errors.ts';
import { testNode } from './fixtures.ts';
import { openssl, withFiles } from './openssl.ts';
import { must, rejects } from './rejects.ts';

const P256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
const AUTHORITY = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'];

interface Made {
  readonly certificate: string;
  readonly key: Buffer;
}

/** `openssl req -x509` with these arguments. */
async function make(args: readonly string[], days = '3650'): Promise<Made> {
  return withFiles({ 'openssl.cnf': '[req]\ndistinguished_name=dn\n[dn]\n' }, async (path) => {
    const [key, certificate] = [path('key.pem'), path('root.pem')];
    const common = ['-x509', '-nodes', '-config', path('openssl.cnf'), '-subj', '/CN=own root/O=Acme/C=DE'];
    await openssl('req', ...common, '-days', days, '-keyout', key, '-out', certificate, ...args);
    return { certificate: await readFile(certificate, 'utf8'), key: await readFile(key) };
  });
}

describe('a root that is brought along', () => {
  const nowMs = Date.now() + 60_000; // after all that is made below
  let good: Made;

  before(async () => {
    good = await make([...P256, ...AUTHORITY]);
  });

  it('signs for nodes, whichever form its key is in', async () => {
    const authority = readOwnAuthority(good.certificate, good.key, nowMs);
    assert.equal(authority.certificate.subject.commonName, 'own root');
    await withFiles({ 'key.pem': good.key }, async (path) => {
      await openssl('ec', '-in', path('key.pem'), '-out', path('sec1.pem'));
      const sec1 = await readFile(path('sec1.pem'));
      assert.match(sec1.toString(), /BEGIN EC PRIVATE KEY/);
      readOwnAuthority(good.certificate, sec1, nowMs);
    });
    const node = testNode(authority, 'worker');
    await withFiles({ 'root.pem': good.certificate, 'node.pem': node.certificatePem }, async (path) => {
      assert.match(await openssl('verify', '-x509_strict', '-CAfile', path('root.pem'), path('node.pem')), /OK/);
    });
  });

  it('has to be one self-signed authority with a P-256 key; every refusal names flag and rule', async () => {
    const cases: readonly (readonly [string, readonly string[], RegExp, string?])[] = [
      ['another kind of key', ['-newkey', 'rsa:2048', ...AUTHORITY], /--ca-cert: .*(algorithm|P-256)/],
      [
        'another curve',
        ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp384r1', ...AUTHORITY],
        /--ca-cert: .*P-256/,
      ],
      ['no authority', [...P256, '-addext', 'basicConstraints=critical,CA:FALSE'], /is not the certificate of an auth/],
      [
        'no right to sign',
        [...P256, '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=digitalSignature'],
        /may not sign certificates/,
      ],
      ['no other authority below', [...P256, '-addext', 'basicConstraints=critical,CA:TRUE,pathlen:0'], /pathlen:0/],
      [
        'no key identifier',
        [...P256, ...AUTHORITY, '-addext', 'subjectKeyIdentifier=none'],
        /no subject key identifier/,
      ],
      ['too short a life', [...P256, ...AUTHORITY], /in less than a year/, '300'],
    ];
    for (const [what, args, message, days] of cases) {
      const made = await make(args, days);
      assert.throws(() => readOwnRoot(made.certificate, nowMs), rejects('bad-certificate', message), what);
      assert.throws(
        () => readOwnRoot(made.certificate, nowMs),
        (error: SwarmError) => error.field === '--ca-cert' && (error.hint ?? '') !== '',
        what,
      );
    }
  });

  it('holds now', () => {
    const year = 365 * 24 * 3_600_000;
    assert.throws(() => readOwnRoot(good.certificate, nowMs + 11 * year), rejects('bad-certificate', /expired at/));
    assert.throws(() => readOwnRoot(good.certificate, nowMs - year), rejects('bad-certificate', /holds only from/));
  });

  it('is alone: no chain, no intermediate, no rubbish', async () => {
    const other = createRootAuthority(nowMs);
    const cross = crossSign(other, readOwnRoot(good.certificate, nowMs), nowMs);
    const texts: readonly (readonly [string, RegExp])[] = [
      [good.certificate + certificatesPem([other.certificate]), /holds 2 certificates/],
      [certificatesPem([cross]), /another authority has signed it/],
      ['', /is empty/],
      ['rubbish\n', /not PEM/],
      [good.certificate.slice(0, 300), /cut short/],
      [good.key.toString(), /not PEM/],
      ['x'.repeat(5_000_000), /larger/],
    ];
    for (const [text, message] of texts)
      assert.throws(() => readOwnRoot(text, nowMs), rejects('bad-certificate', message), text.slice(0, 40));
  });

  it('comes with its own key, of which no error repeats anything', async () => {
    const other = Buffer.from(privateKeyPem(createRootAuthority(nowMs).privateKey));
    const encrypted = await withFiles({ 'key.pem': good.key }, async (path) => {
      await openssl('pkcs8', '-topk8', '-in', path('key.pem'), '-out', path('locked.pem'), '-passout', 'pass:secret');
      return readFile(path('locked.pem'));
    });
    const secret = good.key.toString().split('\n')[1] ?? '';
    const keys: readonly (readonly [Uint8Array, RegExp])[] = [
      [other, /--ca-key: .*does not belong/],
      [encrypted, /--ca-key: is not a private key in PEM, or is encrypted/],
      [Buffer.from(`-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----\n`), /--ca-key/],
      [Buffer.alloc(100_000), /--ca-key: is larger/],
      [(await make(['-newkey', 'rsa:2048'])).key, /--ca-key: .*P-256/],
    ];
    for (const [key, message] of keys)
      assert.throws(
        () => readOwnAuthority(good.certificate, key, nowMs),
        (error: SwarmError) => {
          assert.ok(rejects('bad-certificate', message)(error));
          assert.equal(error.field, '--ca-key');
          assert.ok(!`${error.message}${error.hint}`.includes(secret.slice(10, 40)), 'nothing of the key');
          return true;
        },
      );
  });
});

describe('a cross-signed root', () => {
  it('leads from certificates of the new root to the old one: openssl agrees, for roots of one name, too', async () => {
    const nowMs = Date.now();
    const own = await make([...P256, ...AUTHORITY]);
    for (const newRoot of [createRootAuthority(nowMs), readOwnAuthority(own.certificate, own.key, nowMs)]) {
      const old = createRootAuthority(nowMs);
      const cross = crossSign(old, newRoot.certificate, nowMs);
      const node = testNode({ ...newRoot, intermediates: [cross] }, 'manager');
      const files = {
        'old.pem': certificatesPem([old.certificate]),
        'new.pem': certificatesPem([newRoot.certificate]),
        'both.pem': certificatesPem([old.certificate, newRoot.certificate]),
        'cross.pem': certificatesPem([cross]),
        'node.pem': node.certificatePem,
      };
      await withFiles(files, async (path) => {
        for (const root of ['old.pem', 'new.pem', 'both.pem'])
          assert.match(
            await openssl(
              ...['verify', '-x509_strict', '-no-CApath', '-CAfile', path(root)],
              ...['-untrusted', path('cross.pem'), path('node.pem')],
            ),
            /OK/,
            root,
          );
      });
      assert.equal(cross.authorityKeyId, authorityKeyId(old.certificate));
      assert.equal(cross.subjectKeyId, authorityKeyId(newRoot.certificate));
      assert.ok(cross.notAfterMs <= Math.min(old.certificate.notAfterMs, newRoot.certificate.notAfterMs));
      assert.equal(verifyChain([must([cross][0])], [old.certificate], nowMs), undefined);
    }
  });
});
