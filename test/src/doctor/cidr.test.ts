import assert from 'node:assert/strict';
import fc from 'fast-check';
import { overlaps, parseCidr } from '#src/doctor/cidr.ts';
import { compareVersions, isAtLeast, parseVersion } from '#src/doctor/version.ts';

describe('doctor: blocks of addresses', () => {
  const block = (text: string): NonNullable<ReturnType<typeof parseCidr>> => {
    const parsed = parseCidr(text);
    assert.ok(parsed, text);
    return parsed;
  };

  it('are read, with the bits beyond the length cleared', () => {
    assert.deepEqual(parseCidr('10.1.2.3/8'), { family: 4, base: 0x0a000000n, length: 8 });
    assert.deepEqual(parseCidr('10.1.2.3'), { family: 4, base: 0x0a010203n, length: 32 });
    assert.deepEqual(parseCidr('fd00:1::/32'), { family: 6, base: 0xfd000001n << 96n, length: 32 });
    assert.deepEqual(parseCidr('::1'), { family: 6, base: 1n, length: 128 });
    assert.deepEqual(parseCidr('1:2:3:4:5:6:7:8'), {
      family: 6,
      base: 0x00010002000300040005000600070008n,
      length: 128,
    });
    assert.deepEqual(parseCidr('::ffff:1.2.3.4'), { family: 6, base: 0xffff01020304n, length: 128 });
  });

  for (const text of [
    '',
    'default',
    '10.0.0.0/33',
    '10.0.0/8',
    'fd00::/129',
    '10.0.0.0/8/8',
    '10.0.0.0/',
    '10.0.0.0/-1',
    ' 10.0.0.0/8',
  ])
    it(`are not ${JSON.stringify(text)}`, () => assert.equal(parseCidr(text), undefined));

  it('overlap when an address is in both', () => {
    const cidr = fc.tuple(fc.nat(0xffffffff), fc.integer({ min: 0, max: 32 }));
    fc.assert(
      fc.property(cidr, cidr, ([a, aLength], [b, bLength]) => {
        const write = (value: number, length: number): string =>
          `${[24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')}/${length}`;
        const left = block(write(a, aLength));
        const right = block(write(b, bLength));
        const last = (one: typeof left): bigint => one.base + (1n << BigInt(32 - one.length)) - 1n;
        assert.equal(overlaps(left, right), left.base <= last(right) && right.base <= last(left));
        assert.equal(overlaps(left, right), overlaps(right, left));
      }),
    );
    assert.ok(!overlaps(block('0.0.0.0/0'), block('::/0')));
    assert.ok(overlaps(block('fd00::/8'), block('fd12:3456::/32')));
  });
});

describe('doctor: versions', () => {
  it('are compared number by number', () => {
    assert.deepEqual(parseVersion('v2.1.6+ds1'), [2, 1, 6]);
    assert.equal(parseVersion('unknown'), undefined);
    assert.ok(compareVersions([1, 10], [1, 9, 9]) > 0);
    assert.equal(compareVersions([1, 2], [1, 2, 0]), 0);
    assert.ok(isAtLeast('6.18.0-amd64', '5.6'));
    assert.ok(!isAtLeast('5.4', '5.6'));
    assert.ok(!isAtLeast('', '1'));
  });
});
