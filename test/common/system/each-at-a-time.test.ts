/** Goal: all is done, no more of it together than said, and a failure is heard of. Method: work whose end the test decides. */
import assert from 'node:assert/strict';
import { eachAtATime } from '#common/system/each-at-a-time.ts';

describe('common/system: work on many things', () => {
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('is begun in order, a few at a time, and over when all is done', async () => {
    const begun: number[] = [];
    const ends: (() => void)[] = [];
    let isOver = false;
    const work = (item: number): Promise<void> => {
      begun.push(item);
      return new Promise((resolve) => ends.push(resolve));
    };
    const all = eachAtATime([1, 2, 3, 4, 5], 2, work).then(() => {
      isOver = true;
    });
    await turn();
    assert.deepEqual(begun, [1, 2]);
    ends[1]?.();
    await turn();
    assert.deepEqual(begun, [1, 2, 3]);
    for (let done = 0; done < 5; done++) {
      assert.equal(isOver, false);
      ends[done]?.();
      await turn();
    }
    await all;
    assert.deepEqual(begun, [1, 2, 3, 4, 5]);
    await eachAtATime([], 2, work);
  });

  it('fails with what failed first, and the rest is done all the same', async () => {
    const begun: number[] = [];
    const all = eachAtATime([1, 2, 3, 4], 2, async (item) => {
      begun.push(item);
      await turn();
      if (item === 1) throw new Error('no');
    });
    await assert.rejects(all, /^Error: no$/);
    for (let turns = 0; turns < 5; turns++) await turn();
    assert.deepEqual(begun, [1, 2, 3, 4]);
  });
});
