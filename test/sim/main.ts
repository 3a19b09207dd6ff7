/**
 * `main.ts --seed S --runs N` runs N swarms of managers from seed S on; a failure is told with its seed and the end of its
 * trace. `main.ts --seed S --trace` runs one and tells everything that happens. `main.ts --mutants` runs it against seeded
 * bugs, and must find every one.
 */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MUTANTS, type Mutant } from './mutants.ts';
import { plant } from './mutate.ts';

/** Lines of a failing run's trace that are shown; the whole is had with --trace. */
const SHOWN_TRACE_LINES = 150;
/** Seeds tried for each bug before it counts as missed. */
const MUTANT_RUNS = 400;

/** Exit codes: 0 all passed, 1 a failure was found, 2 misuse. */
async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string', default: '1' },
      runs: { type: 'string', default: '20' },
      trace: { type: 'boolean', default: false },
      mutants: { type: 'boolean', default: false },
      /** One bug only; its failure is the expected end. */
      mutant: { type: 'string' },
    },
  });
  const seed = Number(values.seed);
  const runs = Number(values.runs);
  if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(runs) || runs < 1) {
    console.error('usage: test/sim/main.ts [--seed S] [--runs N] [--trace] [--mutants]');
    return 2;
  }
  if (values.mutants) return runMutants(seed);
  const mutant = MUTANTS.find((one) => one.name === values.mutant);
  if (values.mutant !== undefined && mutant === undefined) {
    console.error(`sim: no mutant is called ${values.mutant}`);
    return 2;
  }
  if (mutant !== undefined) plant(mutant);
  return values.trace ? trace(seed) : runSeeds(seed, runs, mutant !== undefined);
}

async function trace(seed: number): Promise<number> {
  const { traceSeed } = await import('./run.ts');
  const { lines, result } = await traceSeed(seed);
  for (const line of lines) console.log(line);
  const { failure } = result;
  console.log(
    failure === undefined ? `seed ${seed} passed` : `seed ${seed} failed at ${failure.timeMs}: ${failure.text}`,
  );
  return failure === undefined ? 0 : 1;
}

/** Runs seeds one after another; with a bug planted, the first failure is enough. */
async function runSeeds(seed: number, runs: number, stopsAtFailure: boolean): Promise<number> {
  const { runSeed, traceSeed } = await import('./run.ts');
  let passed = 0;
  let failed = 0;
  for (let one = seed; one < seed + runs; one++) {
    const { failure } = await runSeed(one);
    if (failure === undefined) {
      passed++;
      continue;
    }
    failed++;
    if (stopsAtFailure) {
      console.log(`seed ${one}: ${failure.text.split('\n')[0]}`);
      break;
    }
    const { lines } = await traceSeed(one);
    console.log(`--- seed ${one}: the last ${Math.min(lines.length, SHOWN_TRACE_LINES)} of ${lines.length} events`);
    for (const line of lines.slice(-SHOWN_TRACE_LINES)) console.log(line);
    console.log(`--- seed ${one} failed at ${failure.timeMs.toFixed(1)} ms: ${failure.text}`);
    console.log(`--- again, in full: node test/sim/main.ts --seed ${one} --trace`);
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

/** Runs one bug in a process of its own; resolves to where it was found, or undefined. */
function hunt(mutant: Mutant, seed: number): Promise<string | undefined> {
  const args = [fileURLToPath(import.meta.url), '--mutant', mutant.name, '--seed', String(seed)];
  const child = spawn(process.execPath, [...args, '--runs', String(MUTANT_RUNS)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      // Only a failed run counts: a bug that could not be planted must not look like one that was found.
      if (code === 1 && output.startsWith('seed ')) resolve(output.split('\n')[0] ?? '');
      else if (code === 0) resolve(undefined);
      else reject(new Error(`mutant ${mutant.name}: ${errors}${output}`));
    });
  });
}

async function runMutants(seed: number): Promise<number> {
  const waiting = [...MUTANTS];
  let found = 0;
  const worker = async (): Promise<void> => {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const where = await hunt(mutant, seed);
      if (where !== undefined) found++;
      console.log(where === undefined ? `MISSED ${mutant.name}` : `found  ${mutant.name} (${where})`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  console.log(`${found} passed, ${MUTANTS.length - found} failed`);
  return found === MUTANTS.length ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
