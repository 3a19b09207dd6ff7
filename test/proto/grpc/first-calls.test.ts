/** Goal: many first calls do not keep the loop busy in one go, none is lost, and their order stays. */
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { FirstCalls } from '#proto/grpc/first-calls.ts';

/** As long as reading a certificate takes, or longer. */
function work(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

describe('first calls of connections', () => {
  it('are begun in slices, in the order in which they came', async () => {
    const calls = new FirstCalls(5);
    const begun: number[] = [];
    for (let i = 0; i < 40; i++)
      calls.add(() => {
        work(1);
        begun.push(i);
      });
    assert.deepEqual(begun, [], 'not in the turn in which they come');
    for (let turn = 0; turn < 100 && begun.length < 40; turn++) {
      const before = begun.length;
      await nextTurn();
      assert.ok(begun.length - before <= 10, `${begun.length - before} in one turn`);
    }
    assert.deepEqual(
      begun,
      Array.from({ length: 40 }, (_, i) => i),
    );
  });

  it('one that takes long, or adds another, keeps nobody out', async () => {
    const calls = new FirstCalls(1);
    const begun: string[] = [];
    calls.add(() => {
      work(3);
      begun.push('slow');
      calls.add(() => begun.push('added'));
    });
    calls.add(() => begun.push('after'));
    for (let turn = 0; turn < 5; turn++) await nextTurn();
    assert.deepEqual(begun, ['slow', 'after', 'added']);
  });
});
