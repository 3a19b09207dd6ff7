/**
 * Goal: what `make test` shows for a handful of seeds holds for many more, and the simulation of nodes finds every bug of
 * its list. Method: seeds behind those of `make test`; each bug planted in a process of its own.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ROOT } from '#test/house/source-files.ts';
import { runMembership } from '#test/sim/membership/run.ts';

const FIRST = 5;
const SEEDS = 300;
const SEEDS_PER_TEST = 100;

describe('sim: membership, many seeds', () => {
  for (let first = FIRST; first < FIRST + SEEDS; first += SEEDS_PER_TEST)
    it(`seeds ${first} to ${first + SEEDS_PER_TEST - 1}`, async () => {
      for (let seed = first; seed < first + SEEDS_PER_TEST; seed++) {
        const failure = await runMembership(seed);
        assert.equal(failure, undefined, failure && `seed ${seed} at ${failure.timeMs} ms: ${failure.text}`);
      }
    }).timeout(1_200_000);

  it('finds every seeded bug', async () => {
    const run = promisify(execFile)(process.execPath, [`${ROOT}/test/sim/membership/main.ts`, '--mutants']);
    const { stdout } = await run.catch((failed: { readonly stdout: string }) => failed);
    assert.match(stdout, /^\d+ passed, 0 failed$/m, stdout);
  }).timeout(1_800_000);
});
