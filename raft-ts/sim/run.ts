import { type Failure, Simulation } from './simulation.ts';

/** Runs one seed. `onTrace` is told what happens, line by line; the same seed tells the same. */
export function runSeed(seed: number, onTrace?: (line: string) => void): Failure | undefined {
  return new Simulation(seed, onTrace).run();
}

/** Runs a seed again and tells what happened. */
export function traceSeed(seed: number): readonly string[] {
  const lines: string[] = [];
  runSeed(seed, (line) => lines.push(line));
  return lines;
}
