/**
 * Goal: the group stays correct whatever happens to it, and the simulator would see if it did not. Method: 100 seeds;
 * one of them twice; and the list of bugs, whose places must be in the source (the hunt itself is in test/long).
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { MUTANTS } from '../sim/mutants.ts';
import { mutated } from '../sim/mutate.ts';
import { runSeed, traceSeed } from '../sim/run.ts';

const SEEDS = 100;
const SEEDS_PER_TEST = 50;

describe('raft-ts: simulation', () => {
  for (let first = 1; first <= SEEDS; first += SEEDS_PER_TEST)
    it(`seeds ${first} to ${first + SEEDS_PER_TEST - 1} keep every invariant and make progress`, () => {
      for (let seed = first; seed < first + SEEDS_PER_TEST; seed++) {
        const failure = runSeed(seed);
        assert.equal(failure, undefined, failure && `seed ${seed} at ${failure.time}: ${failure.text}`);
      }
    }).timeout(60_000);

  it('the same seed replays exactly', () => {
    const first = traceSeed(8);
    assert.ok(first.length > 1000);
    assert.deepEqual(traceSeed(8), first);
  });

  it('every bug of the list still has its place in the source', () => {
    assert.ok(MUTANTS.length >= 15);
    assert.equal(new Set(MUTANTS.map((mutant) => mutant.name)).size, MUTANTS.length);
    for (const mutant of MUTANTS) {
      const source = readFileSync(new URL(`../src/${mutant.file}`, import.meta.url), 'utf8');
      assert.notEqual(mutated(mutant, source), source);
    }
  });
});
