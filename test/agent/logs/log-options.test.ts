/** Goal: Docker's log options mean the same here, and nothing else is taken. Method: a table. */
import assert from 'node:assert/strict';
import { DEFAULT_LOG_CONFIG, parseLogOptions } from '#agent/logs/index.ts';
import { nextCheckMs } from '#agent/logs/log-rotator.ts';
import { SwarmError } from '#common/errors.ts';

describe('logs: options', () => {
  it('rotates by default', () => {
    for (const name of ['', 'json-file', 'local'])
      assert.deepEqual(parseLogOptions(name, {}), { driver: 'file', maxBytes: 10_000_000, maxFiles: 3 });
  });

  it('reads sizes as Docker does', () => {
    for (const [text, bytes] of [
      ['10m', 10e6],
      ['1g', 1e9],
      ['200k', 200e3],
      ['1.5m', 1.5e6],
      ['5000', 5000],
      ['10MB', 10e6],
    ] as const)
      assert.equal(parseLogOptions('', { 'max-size': text }).maxBytes, bytes, text);
    assert.equal(parseLogOptions('', { 'max-file': '7' }).maxFiles, 7);
    assert.equal(parseLogOptions('none', {}).driver, 'none');
  });

  it('refuses what it does not know', () => {
    const bad: readonly Readonly<Record<string, string>>[] = [
      { 'max-size': '-1' },
      { 'max-size': 'x' },
      { 'max-size': '1' },
      { 'max-file': '0' },
      { 'max-file': '1e9' },
      { tag: 'x' },
    ];
    for (const options of bad) assert.throws(() => parseLogOptions('', options), SwarmError, JSON.stringify(options));
    assert.throws(
      () => parseLogOptions('syslog', {}),
      (error: SwarmError) => error.code === 'unimplemented',
    );
  });

  it('looks again the sooner the faster a log grows', () => {
    const next = (bytes: number, grown: number) => nextCheckMs(DEFAULT_LOG_CONFIG, 1000, bytes, grown, 100);
    assert.equal(next(0, 0), DEFAULT_LOG_CONFIG.checkMaxMs);
    assert.equal(next(500, 50), 500); // full in 1000 ms
    assert.equal(next(999, 999), DEFAULT_LOG_CONFIG.checkMinMs);
    assert.equal(next(10, 1e-6), DEFAULT_LOG_CONFIG.checkMaxMs);
  });
});
