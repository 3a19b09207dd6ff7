/** Goal: the tasks of a slot are in the order in which they followed each other, whatever the clocks said. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Task } from '#gen/swarm/v1/objects.ts';
import { byAge } from '#manager/orchestrator/slot-tasks.ts';

describe('orchestrator: order of tasks', () => {
  it('a chain stays a chain, in whatever order it is given and with whatever times', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 8 }), fc.nat(), (times, seed) => {
        const chain = times.map((createdAtMs, i) =>
          Task.create({ id: `t${i}`, createdAtMs, replaces: i === 0 ? '' : `t${i - 1}` }),
        );
        const shuffled = chain.toSorted(
          (a, b) => ((a.createdAtMs * 31 + seed) % 7) - ((b.createdAtMs * 17 + seed) % 5),
        );
        assert.deepEqual(byAge(shuffled), chain);
      }),
    );
  });

  it('tasks that know nothing of each other go by their times', () => {
    const tasks = [3, 1, 2].map((createdAtMs) => Task.create({ id: `t${createdAtMs}`, createdAtMs }));
    assert.deepEqual(
      byAge(tasks).map(({ id }) => id),
      ['t1', 't2', 't3'],
    );
    // One that a leader with a slow clock made after another stays behind it.
    const late = Task.create({ id: 'late', createdAtMs: 0, replaces: 't3' });
    assert.equal(byAge([late, ...tasks]).at(-1)?.id, 'late');
  });

  it('a circle, which no leader makes, is an order of some kind', () => {
    const tasks = [Task.create({ id: 'a', replaces: 'b' }), Task.create({ id: 'b', replaces: 'a' })];
    assert.equal(byAge(tasks).length, 2);
  });
});
