/** Goal: unlock keys have one form, every other text is refused with what is wrong about it, and never repeated. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { lockBytes, sameLock, unlockBytes } from '#certs/key-lock.ts';
import { createUnlockKey, formatUnlockKey, parseUnlockKey, UNLOCK_KEY_LENGTH } from '#certs/unlock-key.ts';
import { SwarmError } from '#common/errors.ts';
import { rejects } from './rejects.ts';

describe('unlock keys', () => {
  it('are 256 bits, and come back from their text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
        const text = formatUnlockKey(key);
        assert.match(text, /^SWMKEY-1-[0-9a-z]{50}$/);
        assert.equal(text.length, UNLOCK_KEY_LENGTH);
        assert.deepEqual([...parseUnlockKey(text)], [...key]);
      }),
    );
    assert.notDeepEqual(createUnlockKey(), createUnlockKey());
  });

  const digits = 'a'.repeat(50);
  const refusals: readonly [name: string, text: string, message: RegExp][] = [
    ['nothing', '', /it is empty/],
    ['a join token', `SWMTKN-1-${digits}-${'b'.repeat(25)}`, /does not begin with SWMKEY-/],
    ['no version', 'SWMKEY', /not followed by a version/],
    ['a later version', `SWMKEY-2-${digits}`, /of version 2; only version 1/],
    ['two parts', 'SWMKEY-1', /three parts/],
    ['four parts', `SWMKEY-1-${digits}-x`, /three parts/],
    ['a key that was cut', `SWMKEY-1-${digits.slice(1)}`, /49 characters long; it has to be 50/],
    ['another alphabet', `SWMKEY-1-${'A'.repeat(50)}`, /character 1 .* not one of/],
    ['more than fits', `SWMKEY-1-${'z'.repeat(50)}`, /out of range/],
    ['a long text', 'S'.repeat(10_000), /10000 characters long/],
  ];
  for (const [name, text, message] of refusals)
    it(`refuse ${name}`, () => assert.throws(() => parseUnlockKey(text), rejects('wrong-key', message)));

  it('are in no error, whatever was given', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom('a', 'z', '0', '9', '-', 'S') })), (text) => {
        const given = `SWMKEY-1-${text}secret`;
        try {
          parseUnlockKey(given);
        } catch (thrown) {
          const { message, hint } = SwarmError.from(thrown);
          assert.ok(!`${message}${hint ?? ''}`.includes(`${text}secret`));
        }
      }),
    );
  });
});

describe('what an unlock key locks', () => {
  const lock = { key: createUnlockKey(), version: 3 };

  it('is opened by that key, with that header, unchanged, and by nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.string(), fc.nat(), (plain, header, where) => {
        const locked = lockBytes(lock, header, plain);
        assert.deepEqual([...(unlockBytes(lock.key, header, locked) ?? [])], [...plain]);
        assert.equal(unlockBytes(createUnlockKey(), header, locked), undefined);
        assert.equal(unlockBytes(lock.key, `${header}x`, locked), undefined);
        const changed = Buffer.from(locked);
        changed[where % changed.length] = (changed[where % changed.length] ?? 0) ^ 1;
        assert.equal(unlockBytes(lock.key, header, changed), undefined);
        assert.equal(unlockBytes(lock.key, header, locked.subarray(0, where % locked.length)), undefined);
      }),
    );
  });

  it('is another text each time', () => {
    const plain = Buffer.alloc(32);
    assert.notDeepEqual(lockBytes(lock, 'h', plain), lockBytes(lock, 'h', plain));
  });

  it('is the same where key and version are', () => {
    assert.ok(sameLock(undefined, undefined));
    assert.ok(sameLock(lock, { ...lock, key: new Uint8Array(lock.key) }));
    for (const other of [undefined, { ...lock, version: 4 }, { ...lock, key: createUnlockKey() }])
      assert.ok(!sameLock(lock, other) && !sameLock(other, lock));
  });
});
