/** Goal: durations are read, written and told as Go and Docker do. Method: examples, and a round trip of any duration. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatDuration, humanDuration, parseDuration } from '#common/duration.ts';

function ns(text: string): number {
  const parsed = parseDuration(text);
  assert.ok(parsed.ok, text);
  return parsed.ns;
}

function refusal(text: string): string {
  const parsed = parseDuration(text);
  assert.ok(!parsed.ok, text);
  return parsed.error;
}

describe('common: durations', () => {
  it('reads every unit, fractions and sums', () => {
    assert.equal(ns('0'), 0);
    assert.equal(ns('1ns'), 1);
    assert.equal(ns('1.5us'), 1500);
    assert.equal(ns('1µs'), 1000);
    assert.equal(ns('.5s'), 5e8);
    assert.equal(ns('1h30m15.5s'), (90 * 60 + 15.5) * 1e9);
    assert.equal(ns('-2m'), -120e9);
    assert.equal(ns('+3ms'), 3e6);
  });

  it('refuses in Go’s words', () => {
    assert.equal(refusal('5'), 'time: missing unit in duration "5"');
    assert.equal(refusal('5y'), 'time: unknown unit "y" in duration "5y"');
    for (const text of ['', '-', 'abc', 's', '1s2', '.s', '9999999h'])
      assert.match(refusal(text), /^time: (?:invalid|missing unit in) duration/, text);
  });

  it('writes as Go does', () => {
    const written: readonly (readonly [number, string])[] = [
      [0, '0s'],
      [1, '1ns'],
      [1100, '1.1µs'],
      [2_200_000, '2.2ms'],
      [3.3e9, '3.3s'],
      [65e9, '1m5s'],
      [7200e9, '2h0m0s'],
      [-1.5e9, '-1.5s'],
    ];
    for (const [value, text] of written) assert.equal(formatDuration(value), text);
  });

  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(fc.integer({ min: -(10 ** 15), max: 10 ** 15 }), (value) => {
        assert.equal(ns(formatDuration(value)), value);
      }),
    );
  });

  it('tells in words at the same bounds as Docker', () => {
    const second = 1e9;
    const hour = 3600 * second;
    const told: readonly (readonly [number, string])[] = [
      [450e6, 'Less than a second'],
      [1 * second, '1 second'],
      [45 * second, '45 seconds'],
      [46 * second, '46 seconds'],
      [60 * second, 'About a minute'],
      [90 * second, 'About a minute'],
      [3 * 60 * second, '3 minutes'],
      [60 * 60 * second, 'About an hour'],
      [1.4 * hour, 'About an hour'],
      [1.5 * hour, '2 hours'],
      [47.4 * hour, '47 hours'],
      [48 * hour, '2 days'],
      [13 * 24 * hour, '13 days'],
      [14 * 24 * hour, '2 weeks'],
      [59 * 24 * hour, '8 weeks'],
      [60 * 24 * hour, '2 months'],
      [729 * 24 * hour, '24 months'],
      [730 * 24 * hour, '2 years'],
    ];
    for (const [value, text] of told) assert.equal(humanDuration(value), text, String(value));
  });
});
