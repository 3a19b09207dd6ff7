import { type Result, Simulation } from './simulation.ts';

/** Runs one seed. */
export function runSeed(seed: number): Promise<Result> {
  return new Simulation(seed).run();
}

/** Runs a seed again and tells what happened, line by line; the same seed tells the same. */
export async function traceSeed(seed: number): Promise<{ readonly lines: readonly string[]; readonly result: Result }> {
  const lines: string[] = [];
  const result = await new Simulation(seed, { onTrace: (line) => lines.push(line) }).run();
  return { lines, result };
}
