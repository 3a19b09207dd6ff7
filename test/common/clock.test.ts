/** Goal: the manual clock fires timers in order and never early. */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { isId, newId } from '#common/ids.ts';
import { checkName } from '#common/names.ts';
import { SeededRandom } from '#common/random.ts';

describe('common', () => {
  it('manual clock: due order, ties in set order, timers set while firing', () => {
    const clock = new ManualClock();
    const fired: string[] = [];
    clock.setTimer(20, () => fired.push('b'));
    clock.setTimer(10, () => {
      fired.push('a');
      clock.setTimer(5, () => fired.push('nested'));
    });
    clock.setTimer(20, () => fired.push('c'));
    const cancel = clock.setTimer(15, () => fired.push('never'));
    cancel();
    clock.advance(19);
    assert.deepEqual(fired, ['a', 'nested']);
    assert.equal(clock.nextDue(), 20);
    clock.advance(1);
    assert.deepEqual(fired, ['a', 'nested', 'b', 'c']);
  });

  it('manual clock: timers do not notice that the wall clock is set', () => {
    const clock = new ManualClock();
    clock.advance(5);
    clock.setTimer(20, () => {});
    clock.setWall(1000);
    assert.deepEqual([clock.now(), clock.monotonic(), clock.nextDue()], [1000, 5, 25]);
    clock.advance(3);
    assert.deepEqual([clock.now(), clock.monotonic()], [1003, 8]);
  });

  it('one seed gives one sequence of ids', () => {
    const one = newId(new SeededRandom(7));
    assert.equal(one, newId(new SeededRandom(7)));
    assert.notEqual(one, newId(new SeededRandom(8)));
    assert.ok(isId(one));
  });

  it('names: Swarm rule', () => {
    for (const good of ['web', 'a', 'web-1', 'Web_2', '0']) assert.equal(checkName('name', good), undefined, good);
    for (const bad of ['', '-a', 'a-', 'a/b', 'a b', 'a.b', 'ä', 'x'.repeat(64)])
      assert.equal(checkName('name', bad)?.code, 'invalid', bad);
  });
});
