/**
 * Goal: several managers stay one swarm whatever happens to their disks, clocks, links and processes, and the simulation
 * would see if they did not. Method: some dozens of seeds; one of them twice; and the list of bugs, whose places must be
 * in the source (the hunt itself, and more seeds, are in test/long).
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mutated } from '#raft-ts/sim/mutate.ts';
import { ROOT } from '#test/house/source-files.ts';
import { MUTANTS } from './mutants.ts';
import { runSeed, traceSeed } from './run.ts';

const SEEDS = 20;
const SEEDS_PER_TEST = 10;

describe('sim: managers under virtual time', () => {
  for (let first = 1; first <= SEEDS; first += SEEDS_PER_TEST)
    it(`seeds ${first} to ${first + SEEDS_PER_TEST - 1} keep every promise and make progress`, async () => {
      for (let seed = first; seed < first + SEEDS_PER_TEST; seed++) {
        const { failure } = await runSeed(seed);
        assert.equal(failure, undefined, failure && `seed ${seed} at ${failure.timeMs} ms: ${failure.text}`);
      }
    }).timeout(120_000);

  it('the same seed replays exactly', async () => {
    const first = await runSeed(7);
    const { lines, result } = await traceSeed(7);
    assert.equal(result.hash, first.hash);
    assert.equal(result.events, first.events);
    assert.ok(lines.length > 1000);
    assert.ok(result.operations > 100);
  }).timeout(30_000);

  it('every bug of the list still has its place in the source', () => {
    assert.ok(MUTANTS.length >= 15);
    assert.equal(new Set(MUTANTS.map(({ name }) => name)).size, MUTANTS.length);
    for (const mutant of MUTANTS) {
      const source = readFileSync(`${ROOT}/${mutant.file}`, 'utf8');
      assert.notEqual(mutated(mutant, source), source);
    }
  });
});
