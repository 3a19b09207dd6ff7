/** Goal: sizes are read and told as Docker does. Method: examples at the bounds; reading never throws. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { binarySize, decimalSize, parseSize, significantDigits } from '#common/size.ts';

function bytes(text: string): number {
  const parsed = parseSize(text);
  assert.ok(parsed.ok, text);
  return parsed.bytes;
}

describe('common: sizes', () => {
  it('reads every suffix as a multiple of 1024', () => {
    assert.equal(bytes('32'), 32);
    assert.equal(bytes('32b'), 32);
    assert.equal(bytes('32k'), 32 * 1024);
    assert.equal(bytes('32Kb'), 32 * 1024);
    assert.equal(bytes('32KiB'), 32 * 1024);
    assert.equal(bytes('1.5m'), 1.5 * 2 ** 20);
    assert.equal(bytes('2 g'), 2 ** 31);
    assert.equal(bytes('1T'), 2 ** 40);
  });

  it('refuses in Docker’s words', () => {
    const refused: readonly (readonly [string, string])[] = [
      ['', "invalid size: ''"],
      ['hello', "invalid size: 'hello'"],
      ['-32', "invalid size: '-32'"],
      ['1x', "invalid suffix: 'x'"],
      ['1Mx', "invalid suffix: 'mx'"],
      ['1bits', "invalid suffix: 'bits'"],
      [' 1.2.3m', 'strconv.ParseFloat: parsing " 1.2.3": invalid syntax'],
      ['99999p', "invalid size: '99999p'"],
    ];
    for (const [text, error] of refused) assert.deepEqual(parseSize(text), { ok: false, error }, text);
  });

  it('never throws, whatever it reads', () => {
    fc.assert(fc.property(fc.string(), (text) => typeof parseSize(text).ok === 'boolean'));
  });

  it('tells with four digits, or as many as asked', () => {
    assert.equal(binarySize(0), '0B');
    assert.equal(binarySize(1023), '1023B');
    assert.equal(binarySize(1024), '1KiB');
    assert.equal(binarySize(8_335_147_008), '7.763GiB');
    assert.equal(decimalSize(1_234_567), '1.235MB');
    assert.equal(decimalSize(1_234_567, 3), '1.23MB');
    assert.equal(decimalSize(999_950, 3), '1e+03kB');
    assert.equal(significantDigits(0.00001234, 3), '1.23e-05');
  });
});
