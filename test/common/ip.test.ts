/** Goal: addresses are read strictly and written in the one way. Method: examples of RFC 5952, and there and back again. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatIp, formatPrefix, parseIp, parsePrefix, prefixCovers, prefixesOverlap, prefixHas } from '#common/ip.ts';

describe('IP addresses', () => {
  it('are the same after writing and reading', () => {
    const value = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n });
    fc.assert(
      fc.property(fc.constantFrom(4 as const, 6 as const), value, value, (family, bits, mask) => {
        // The mask makes groups of zeros.
        const ip = { family, value: family === 4 ? bits & 0xffffffffn : bits & mask & (mask >> 3n) };
        assert.deepEqual(parseIp(formatIp(ip)), ip);
      }),
    );
  });

  const written: readonly [string, string][] = [
    ['2001:0DB8::0001', '2001:db8::1'],
    ['::', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:0:0:2:0:0:3:4', '1::2:0:0:3:4'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['::ffff:10.0.0.1', '::ffff:a00:1'],
  ];
  for (const [text, canonical] of written)
    it(`${text} is written ${canonical}`, () => {
      const ip = parseIp(text);
      assert.ok(ip);
      assert.equal(formatIp(ip), canonical);
    });

  for (const text of [
    '',
    '1.2.3',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4.5',
    '1::2::3',
    '12345::',
    ':',
    '1:2:3:4:5:6:7',
    'fe80::1%eth0',
  ])
    it(`${JSON.stringify(text)} is none`, () => assert.equal(parseIp(text), undefined));

  it('prefixes know what they cover', () => {
    const parse = (text: string) => parsePrefix(text)?.prefix ?? assert.fail(text);
    const large = parse('10.1.2.3/8');
    assert.equal(formatPrefix(large), '10.0.0.0/8');
    assert.equal(parsePrefix('10.1.2.3/8')?.address.value, 0x0a010203n);
    assert.ok(prefixCovers(large, parse('10.255.255.255/32')));
    assert.ok(!prefixCovers(parse('10.0.0.0/9'), large));
    assert.ok(prefixesOverlap(parse('10.0.0.0/9'), large));
    assert.ok(!prefixesOverlap(parse('::/0'), parse('0.0.0.0/0')));
    assert.ok(prefixHas(large, parseIp('10.9.9.9') ?? assert.fail()));
    for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/', '::/129', '/8'])
      assert.equal(parsePrefix(text), undefined);
  });
});
