/**
 * The command line of a simulator. `--seed S --runs N` runs N seeds from S on; a failure is told with its seed and the end
 * of its trace. `--seed S --trace` runs one and tells everything that happens. `--mutants` runs the simulator against
 * seeded bugs, and it must find every one; `--mutant NAME` runs seeds with one of them planted until it shows.
 */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { type Mutant, plant } from './mutate.ts';

export interface Simulator {
  /** The program of this command line, which is started once for each mutant. */
  readonly file: string;
  /** What its usage calls it, and what one types to run it. */
  readonly name: string;
  readonly command: string;
  /** Seeds that are run when nothing else is asked for. */
  readonly runs: number;
  /** Lines of a failing run's trace that are shown; the whole is had with --trace. */
  readonly shownTraceLines: number;
  readonly mutants: readonly Mutant[];
  /** The folder that the files of the mutants are in; ends with a slash. */
  readonly mutantsFolder: URL;
  /** Seeds tried for each bug before it counts as missed. */
  readonly mutantRuns: number;
  /** Loads what runs a seed. Called once a bug is planted: no code that one may be in is imported before. */
  readonly load: () => Promise<RunSeed>;
}

/** Runs one seed; resolves to how it failed. The same seed tells the same trace. */
export type RunSeed = (seed: number, onTrace?: (line: string) => void) => Promise<SeedFailure | undefined>;

export interface SeedFailure {
  /** Virtual time since the start. */
  readonly time: string;
  readonly text: string;
}

function parse(simulator: Simulator, args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string', default: '1' },
      runs: { type: 'string', default: String(simulator.runs) },
      trace: { type: 'boolean', default: false },
      mutants: { type: 'boolean', default: false },
      mutant: { type: 'string' },
    },
  });
  return { values, seed: Number(values.seed), runs: Number(values.runs) };
}

/** What is asked for, or what is wrong with it. */
function readArguments(simulator: Simulator, args: readonly string[]): ReturnType<typeof parse> | string {
  try {
    const asked = parse(simulator, args);
    if (!Number.isSafeInteger(asked.seed)) return `--seed ${asked.values.seed}: is not a whole number`;
    if (!Number.isSafeInteger(asked.runs) || asked.runs < 1)
      return `--runs ${asked.values.runs}: is not a whole number above 0`;
    return asked;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Exit codes: 0 all passed, 1 a failure was found, 2 misuse. */
export async function runCommandLine(simulator: Simulator, args: readonly string[]): Promise<number> {
  const asked = readArguments(simulator, args);
  if (typeof asked === 'string') {
    console.error(`${asked}\nusage: ${simulator.name} [--seed S] [--runs N] [--trace] [--mutants | --mutant NAME]`);
    return 2;
  }
  const { values, seed, runs } = asked;
  if (values.mutants) return runMutants(simulator, seed);
  const mutant = simulator.mutants.find((one) => one.name === values.mutant);
  if (values.mutant !== undefined && mutant === undefined) {
    console.error(`sim: no mutant is called ${values.mutant}`);
    return 2;
  }
  if (mutant !== undefined) plant(mutant, simulator.mutantsFolder);
  const runSeed = await simulator.load();
  if (values.trace) return traceSeed(runSeed, seed);
  return runSeeds(simulator, runSeed, { seed, runs, stopsAtFailure: mutant !== undefined });
}

async function traceSeed(runSeed: RunSeed, seed: number): Promise<number> {
  const failure = await runSeed(seed, (line) => console.log(line));
  console.log(
    failure === undefined ? `seed ${seed} passed` : `seed ${seed} failed at ${failure.time}: ${failure.text}`,
  );
  return failure === undefined ? 0 : 1;
}

interface Seeds {
  readonly seed: number;
  readonly runs: number;
  /** With a bug planted, the first failure is enough. */
  readonly stopsAtFailure: boolean;
}

async function runSeeds(simulator: Simulator, runSeed: RunSeed, seeds: Seeds): Promise<number> {
  let passed = 0;
  let failed = 0;
  for (let seed = seeds.seed; seed < seeds.seed + seeds.runs; seed++) {
    const failure = await runSeed(seed);
    if (failure === undefined) {
      passed++;
      continue;
    }
    failed++;
    if (seeds.stopsAtFailure) {
      console.log(`seed ${seed}: ${failure.text.split('\n')[0]}`);
      break;
    }
    const lines: string[] = [];
    await runSeed(seed, (line) => lines.push(line));
    const shown = lines.slice(-simulator.shownTraceLines);
    console.log(`--- seed ${seed}: the last ${shown.length} of ${lines.length} events`);
    for (const line of shown) console.log(line);
    console.log(`--- seed ${seed} failed at ${failure.time}: ${failure.text}`);
    console.log(`--- again, in full: ${simulator.command} --seed ${seed} --trace`);
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

/** Runs one bug in a process of its own; resolves to where it was found, or undefined. */
function hunt(simulator: Simulator, mutant: Mutant, seed: number): Promise<string | undefined> {
  const args = ['--mutant', mutant.name, '--seed', String(seed), '--runs', String(simulator.mutantRuns)];
  const child = spawn(process.execPath, [simulator.file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
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

async function runMutants(simulator: Simulator, seed: number): Promise<number> {
  const { mutants } = simulator;
  const waiting = [...mutants];
  let found = 0;
  const worker = async (): Promise<void> => {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const where = await hunt(simulator, mutant, seed);
      if (where !== undefined) found++;
      console.log(where === undefined ? `MISSED ${mutant.name}` : `found  ${mutant.name} (${where})`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  console.log(`${found} passed, ${mutants.length - found} failed`);
  return found === mutants.length ? 0 : 1;
}
