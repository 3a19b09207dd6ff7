/** Goal: address arithmetic is right at its edges. Method: round trips over random values, and a table of bad texts. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  formatAddress,
  formatPrefix,
  linkLayerAddressFor,
  parseAddress,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
  prefixSize,
} from '#agent/network/ipv4.ts';

const anyAddress = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const anyPrefix = fc
  .tuple(anyAddress, fc.integer({ min: 0, max: 32 }))
  .map(([address, length]) => ({ base: address - (address % 2 ** (32 - length)), length }));

describe('network: ipv4', () => {
  it('reads back every address and prefix that it writes', () => {
    fc.assert(fc.property(anyAddress, (address) => parseAddress(formatAddress(address)) === address));
    fc.assert(fc.property(anyPrefix, (prefix) => assert.deepEqual(parsePrefix(formatPrefix(prefix)), prefix)));
  });

  it('refuses what is not an address or prefix', () => {
    for (const text of ['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '1.2.3.4 ', '-1.2.3.4', '::1', '1.2.3.x'])
      assert.equal(parseAddress(text), undefined, text);
    for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0.1/8', '10.0.0.0/8/8', '10.0.0.0/', '10.0.0.0/-1', '/8'])
      assert.equal(parsePrefix(text), undefined, text);
  });

  it('finds an overlap exactly where one prefix contains the other', () => {
    fc.assert(
      fc.property(anyPrefix, anyPrefix, (left, right) => {
        const last = (prefix: typeof left): number => prefix.base + prefixSize(prefix) - 1;
        const apart = last(left) < right.base || last(right) < left.base;
        assert.equal(prefixesOverlap(left, right), !apart);
        assert.equal(prefixContains(left, right.base) || prefixContains(right, left.base), !apart);
      }),
    );
  });

  it('derives a locally administered device address', () => {
    assert.equal(linkLayerAddressFor(0x0aff0001), '02:53:0a:ff:00:01');
  });
});
