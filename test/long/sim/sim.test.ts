/**
 * Goal: what `make test` shows for some dozens of seeds holds for many more, and the simulation finds every bug of its
 * list. Method: seeds behind those of `make test`; each bug planted in a process of its own.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ROOT } from '#test/house/source-files.ts';
import { runSeed } from '#test/sim/run.ts';

const FIRST = 21;
const SEEDS = 1000;
const SEEDS_PER_TEST = 100;

describe('sim: managers under virtual time, many seeds', () => {
  for (let first = FIRST; first < FIRST + SEEDS; first += SEEDS_PER_TEST)
    it(`seeds ${first} to ${first + SEEDS_PER_TEST - 1}`, async () => {
      for (let seed = first; seed < first + SEEDS_PER_TEST; seed++) {
        const { failure } = await runSeed(seed);
        assert.equal(failure, undefined, failure && `seed ${seed} at ${failure.timeMs} ms: ${failure.text}`);
      }
    });

  it('finds every seeded bug', async () => {
    const run = promisify(execFile)(process.execPath, [`${ROOT}/test/sim/main.ts`, '--mutants']);
    const { stdout } = await run.catch((failed: { readonly stdout: string }) => failed);
    assert.match(stdout, /^\d+ passed, 0 failed$/m, stdout);
  }).timeout(1_800_000);
});
