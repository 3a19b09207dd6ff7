import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeBase36, encodeBase36 } from '#certs/base36.ts';
import { createJoinToken, JOIN_TOKEN_LENGTH, parseJoinToken, secretsEqual } from '#certs/join-token.ts';
import { SwarmError } from '#common/errors.ts';
import { rejects } from './rejects.ts';

const DIGEST = 'ab'.repeat(32);

describe('join tokens', () => {
  it('have the form of Swarm’s', () => {
    const token = createJoinToken(DIGEST);
    assert.match(token, /^SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}$/);
    assert.equal(token.length, JOIN_TOKEN_LENGTH);
    assert.notEqual(token, createJoinToken(DIGEST));
  });

  it('carry the digest of any root', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const digest = Buffer.from(bytes).toString('hex');
        const token = createJoinToken(digest);
        const parsed = parseJoinToken(token);
        assert.equal(parsed.rootDigest, digest);
        assert.ok(token.endsWith(`-${parsed.secret}`));
      }),
    );
  });

  const good = createJoinToken(DIGEST);
  const [, , digest = '', secret = ''] = good.split('-');
  const refusals: readonly [name: string, token: string, message: RegExp][] = [
    ['nothing', '', /it is empty/],
    ['another prefix', good.replace('SWMTKN', 'SWMKEY'), /does not begin with SWMTKN-/],
    ['a lower case prefix', good.toLowerCase(), /does not begin with SWMTKN-/],
    ['blanks around', ` ${good}`, /does not begin with SWMTKN-/],
    ['no version', `SWMTKN-${digest}-${secret}`, /not followed by a version number/],
    ['version 2', `SWMTKN-2-0-${digest}-${secret}`, /version 2; only version 1 is understood/],
    ['a missing secret', `SWMTKN-1-${digest}`, /four parts/],
    ['a fifth part', `${good}-x`, /four parts/],
    [
      'a short digest',
      `SWMTKN-1-${digest.slice(1)}-${secret}`,
      /digest \(third part\) is 49 characters long; it has to be 50/,
    ],
    ['a long secret', `${good}0`, /secret \(fourth part\) is 26 characters long; it has to be 25/],
    ['a cut secret', good.slice(0, -1), /secret \(fourth part\) is 24 characters/],
    ['a digest in upper case', `SWMTKN-1-0A${digest.slice(2)}-${secret}`, /character 2 of its digest/],
    ['a new line in the secret', `SWMTKN-1-${digest}-${secret.slice(0, 24)}\n`, /character 25 of its secret/],
    ['a digest over 256 bits', `SWMTKN-1-${'z'.repeat(50)}-${secret}`, /digest .* is out of range/],
    ['a secret over 128 bits', `SWMTKN-1-${digest}-${'z'.repeat(25)}`, /secret .* is out of range/],
    ['a megabyte', 'SWMTKN-1-'.padEnd(1e6, 'a'), /1000000 characters long; a token has 85/],
  ];
  for (const [name, token, message] of refusals)
    it(`refuses ${name}`, () => assert.throws(() => parseJoinToken(token), rejects('bad-token', message)));

  it('are refused without a word of their content', () => {
    for (const [, token] of refusals)
      try {
        parseJoinToken(token);
      } catch (error) {
        assert.ok(error instanceof SwarmError);
        const text = `${error.message} ${error.hint}`;
        assert.ok(!text.includes(secret.slice(0, 8)) && !text.includes(digest.slice(0, 8)));
      }
  });

  it('that are any text give bad-token or are tokens', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 120 }),
      fc.tuple(fc.constantFrom('1', '2', ''), fc.string(), fc.string()).map((parts) => ['SWMTKN', ...parts].join('-')),
      fc
        .tuple(fc.nat(good.length), fc.string({ maxLength: 2 }))
        .map(([at, put]) => good.slice(0, at) + put + good.slice(at)),
    );
    fc.assert(
      fc.property(text, (token) => {
        try {
          const parsed = parseJoinToken(token);
          assert.ok(token.endsWith(parsed.secret));
        } catch (error) {
          assert.ok(error instanceof SwarmError, String(error));
          assert.equal(error.reason, 'bad-token');
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('are compared whole', () => {
    assert.ok(secretsEqual(good, `${good}`));
    assert.ok(!secretsEqual(good, good.slice(0, -1)));
    assert.ok(!secretsEqual(good, `${good.slice(0, -1)}\u{1}`));
    assert.ok(!secretsEqual('', good));
    assert.ok(!secretsEqual('é', 'e'));
  });
});

describe('base36', () => {
  it('keeps every byte, at a fixed width', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const digits = encodeBase36(bytes, 25);
        assert.equal(digits.length, 25);
        assert.deepEqual(decodeBase36(digits, 16), Buffer.from(bytes));
      }),
    );
  });

  it('holds the greatest value and no greater one', () => {
    const greatest = encodeBase36(Buffer.alloc(16, 0xff), 25);
    assert.deepEqual(decodeBase36(greatest, 16), Buffer.alloc(16, 0xff));
    const next = (2n ** 128n).toString(36).padStart(25, '0');
    assert.equal(decodeBase36(next, 16), undefined);
  });
});
