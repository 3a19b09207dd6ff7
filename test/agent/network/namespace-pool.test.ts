/** Goal: the pool is bounded, refills itself, and gives numbers out in turn. Method: a maker under the test's control. */
import assert from 'node:assert/strict';
import { NamespacePool } from '#agent/network/namespace-pool.ts';
import { NamespaceNumbers, type TaskNamespace } from '#agent/network/task-namespace.ts';
import { ManualClock } from '#common/clock.ts';
import { silentLogger } from '#common/log.ts';

/** Lets everything that is already possible happen. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

function poolOf(target: number, fail: () => boolean = () => false) {
  const clock = new ManualClock();
  const state = { made: 0, making: 0, makingMost: 0 };
  const make = async (): Promise<TaskNamespace> => {
    state.making++;
    state.makingMost = Math.max(state.makingMost, state.making);
    await Promise.resolve();
    state.making--;
    if (fail()) throw new Error('no');
    state.made++;
    return { number: state.made, path: `/n/${state.made}` };
  };
  const pool = new NamespacePool({ target, retryMs: 1000, make, clock, logger: silentLogger });
  return { pool, clock, state };
}

describe('network: namespace pool', () => {
  it('fills to its target, one at a time, and again after one is taken', async () => {
    const { pool, state } = poolOf(3);
    pool.start();
    await settle();
    assert.deepEqual([pool.ready.length, state.makingMost], [3, 1]);
    assert.equal((await pool.take()).number, 1);
    await settle();
    assert.deepEqual([pool.ready.length, state.made], [3, 4]);
    await pool.close();
  });

  it('serves a taker also when empty', async () => {
    const { pool, state } = poolOf(0);
    assert.equal((await pool.take()).number, 1);
    assert.equal(state.made, 1);
    await pool.close();
  });

  it('tells the taker of a failure, and tries again by itself after a while', async () => {
    let broken = true;
    const { pool, clock } = poolOf(2, () => broken);
    pool.start();
    await settle();
    await assert.rejects(pool.take(), /no/);
    broken = false;
    await settle();
    assert.equal(pool.ready.length, 0);
    clock.advance(1000);
    await settle();
    assert.equal(pool.ready.length, 2);
    await pool.close();
  });

  it('makes none after it was closed', async () => {
    const { pool, state } = poolOf(5);
    await pool.close();
    pool.start();
    await settle();
    assert.equal(state.made, 0);
  });

  it('gives out numbers in turn, skips those in use, and says when none is left', () => {
    const numbers = new NamespaceNumbers();
    const pool = { base: 0, length: 29 }; // 6 usable addresses
    assert.deepEqual([numbers.take(pool), numbers.take(pool)], [1, 2]);
    numbers.release(1);
    assert.equal(numbers.take(pool), 3, 'a released number rests');
    numbers.reserve(4);
    assert.deepEqual([numbers.take(pool), numbers.take(pool), numbers.take(pool)], [5, 6, 1]);
    assert.throws(() => numbers.take(pool), /no address left: all 6 are in use/);
  });
});
