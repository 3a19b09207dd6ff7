/** Goal: names and numbers of signals are known, and nothing else is. Method: examples. */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { parseSignal, signalName } from '#common/signals.ts';

describe('common: signals', () => {
  it('reads names and numbers', () => {
    for (const [text, number] of [
      ['SIGTERM', 15],
      ['term', 15],
      ['9', 9],
      ['SIGRTMIN', 34],
      ['SIGRTMIN+3', 37],
      ['RTMAX-1', 63],
      ['SIGPOLL', 29],
      ['SIGSYS', 31],
    ] as const)
      assert.equal(parseSignal('x', text), number, text);
    for (const text of ['', '0', '65', '-1', 'SIGX', 'RTMIN-1', 'RTMAX+1', '9x'])
      assert.throws(() => parseSignal('x', text), SwarmError, text);
    assert.deepEqual([signalName(15), signalName(40)], ['SIGTERM', 'signal 40']);
  });
});
