/** Goal: work under one name never overlaps, and nothing is kept of what is over. Method: promises that the test settles. */
import assert from 'node:assert/strict';
import { Turns } from '#common/system/turns.ts';

describe('common: turns', () => {
  it('one after the other under a name, side by side under others, also after a failure', async () => {
    const turns = new Turns();
    const log: string[] = [];
    const gate = Promise.withResolvers<void>();
    const first = turns.take('a', async () => {
      log.push('first');
      await gate.promise;
      throw new Error('no');
    });
    const second = turns.take('a', async () => log.push('second'));
    await turns.take('b', async () => log.push('beside'));
    assert.deepEqual(log, ['first', 'beside']);
    gate.resolve();
    await assert.rejects(first, /no/);
    await second;
    assert.deepEqual(log, ['first', 'beside', 'second']);
  });

  it('knows when all is over, and forgets it', async () => {
    const turns = new Turns();
    const gate = Promise.withResolvers<void>();
    let isOver = false;
    turns.take('a', () => gate.promise).catch(() => {});
    const over = turns.over().then(() => (isOver = true));
    assert.equal(turns.size, 1);
    gate.reject(new Error('no'));
    assert.equal(isOver, false);
    await over;
    await turns.over();
    assert.equal(turns.size, 0);
  });
});
