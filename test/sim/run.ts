import { type Result, Simulation } from './simulation.ts';

/** Runs one seed. `onTrace` is told what happens, line by line; the same seed tells the same. */
export function runSeed(seed: number, onTrace?: (line: string) => void): Promise<Result> {
  return new Simulation(seed, onTrace === undefined ? {} : { onTrace }).run();
}

/** Runs a seed again and tells what happened. */
export async function traceSeed(seed: number): Promise<{ readonly lines: readonly string[]; readonly result: Result }> {
  const lines: string[] = [];
  const result = await runSeed(seed, (line) => lines.push(line));
  return { lines, result };
}
