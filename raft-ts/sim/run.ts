import { type Failure, Simulation } from './simulation.ts';

/** Runs one seed. */
export function runSeed(seed: number): Failure | undefined {
  return new Simulation(seed).run();
}

/** Runs a seed again and tells what happened, line by line; the same seed tells the same. */
export function traceSeed(seed: number): readonly string[] {
  const lines: string[] = [];
  const simulation = new Simulation(seed, (line) => lines.push(line));
  simulation.run();
  return lines;
}
