/**
 * `main.ts --seed S --runs N` runs N swarms of managers from seed S on; a failure is told with its seed and the end of its
 * trace. `main.ts --seed S --trace` runs one and tells everything that happens.
 */
import { parseArgs } from 'node:util';
import { runSeed, traceSeed } from './run.ts';

/** Lines of a failing run's trace that are shown; the whole is had with --trace. */
const SHOWN_TRACE_LINES = 150;

/** Exit codes: 0 all passed, 1 a failure was found, 2 misuse. */
async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string', default: '1' },
      runs: { type: 'string', default: '20' },
      trace: { type: 'boolean', default: false },
    },
  });
  const seed = Number(values.seed);
  const runs = Number(values.runs);
  if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(runs) || runs < 1) {
    console.error('usage: test/sim/main.ts [--seed S] [--runs N] [--trace]');
    return 2;
  }
  if (!values.trace) return runSeeds(seed, runs);
  const { lines, result } = await traceSeed(seed);
  for (const line of lines) console.log(line);
  const { failure } = result;
  console.log(
    failure === undefined ? `seed ${seed} passed` : `seed ${seed} failed at ${failure.timeMs}: ${failure.text}`,
  );
  return failure === undefined ? 0 : 1;
}

async function runSeeds(seed: number, runs: number): Promise<number> {
  let passed = 0;
  let failed = 0;
  for (let one = seed; one < seed + runs; one++) {
    const { failure } = await runSeed(one);
    if (failure === undefined) {
      passed++;
      continue;
    }
    failed++;
    const { lines } = await traceSeed(one);
    console.log(`--- seed ${one}: the last ${Math.min(lines.length, SHOWN_TRACE_LINES)} of ${lines.length} events`);
    for (const line of lines.slice(-SHOWN_TRACE_LINES)) console.log(line);
    console.log(`--- seed ${one} failed at ${failure.timeMs.toFixed(1)} ms: ${failure.text}`);
    console.log(`--- again, in full: node test/sim/main.ts --seed ${one} --trace`);
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
