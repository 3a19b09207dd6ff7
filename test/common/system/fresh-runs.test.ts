/** Goal: who asks gets a run that begins afterwards, and never are two under way. Method: runs that the test settles. */
import assert from 'node:assert/strict';
import { FreshRuns } from '#common/system/fresh-runs.ts';

describe('common: fresh runs', () => {
  it('begin after they were asked for, one at a time, and are shared by all who wait', async () => {
    const gates: PromiseWithResolvers<number>[] = [];
    const runs = new FreshRuns(() => {
      const gate = Promise.withResolvers<number>();
      gates.push(gate);
      return gate.promise;
    });
    const first = runs.run();
    const waiting = [runs.run(), runs.run()];
    assert.equal(gates.length, 1);
    gates[0]?.resolve(1);
    assert.equal(await first, 1);
    // Asked for at the very moment of the change: by now the second is under way, or is about to be.
    const third = runs.run();
    await Promise.resolve();
    assert.equal(gates.length, 2);
    gates[1]?.resolve(2);
    assert.deepEqual(await Promise.all(waiting), [2, 2]);
    gates[2]?.resolve(3);
    assert.ok([2, 3].includes(await third));
  });

  it('go on after one that failed, and know when all are over', async () => {
    const gates: PromiseWithResolvers<void>[] = [];
    const runs = new FreshRuns(() => {
      const gate = Promise.withResolvers<void>();
      gates.push(gate);
      return gate.promise;
    });
    const first = runs.run();
    const second = runs.run();
    let isOver = false;
    const over = runs.over().then(() => (isOver = true));
    gates[0]?.reject(new Error('no'));
    await assert.rejects(first, /no/);
    assert.equal(isOver, false);
    gates[1]?.resolve();
    await second;
    await over;
    await runs.over();
    const again = runs.run();
    assert.equal(gates.length, 3, 'with nothing under way it begins at once');
    gates[2]?.resolve();
    await again;
  });
});
