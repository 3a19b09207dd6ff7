/**
 * Goal: whatever operators, images, nodes and leaders do at the same time, updates keep their promises: never fewer
 * healthy tasks than the settings allow (but for what a fault took), never two tasks of a slot that serve under
 * stop-first, no revision half applied, and every update ends. Method: random histories over all leader loops under
 * virtual time; the hunt for planted bugs, and more seeds, are in test/long.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mutated } from '#raft-ts/sim/mutate.ts';
import { ROOT } from '#test/house/source-files.ts';
import { MUTANTS } from './mutants.ts';
import { runServices } from './run.ts';

const SEEDS = 6;

describe('sim: services', () => {
  it(`seeds 1 to ${SEEDS} keep every promise`, () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const failure = runServices(seed);
      assert.equal(failure, undefined, failure && `seed ${seed} at ${failure.timeMs} ms: ${failure.text}`);
    }
  }).timeout(120_000);

  it('the same seed replays exactly', () => {
    const tell = (): string => {
      const lines: string[] = [];
      runServices(2, (line) => lines.push(line));
      return lines.join('\n');
    };
    const first = tell();
    assert.equal(tell(), first);
    assert.ok(first.split('\n').length > 40);
  }).timeout(60_000);

  it('every bug of the list still has its place in the source', () => {
    assert.equal(new Set(MUTANTS.map(({ name }) => name)).size, MUTANTS.length);
    for (const mutant of MUTANTS) {
      const source = readFileSync(`${ROOT}/${mutant.file}`, 'utf8');
      assert.notEqual(mutated(mutant, source), source);
    }
  });
});
