/** `sim --seed S --runs N` runs N groups from seed S on; `--trace` and `--mutants` are told in `command-line.ts`. */
import { fileURLToPath } from 'node:url';
import { runCommandLine } from './command-line.ts';
import { MUTANTS } from './mutants.ts';

process.exitCode = await runCommandLine(
  {
    file: fileURLToPath(import.meta.url),
    name: 'sim',
    command: 'sim',
    runs: 100,
    shownTraceLines: 200,
    mutants: MUTANTS,
    mutantsFolder: new URL('../src/', import.meta.url),
    mutantRuns: 6000,
    load: async () => {
      const { runSeed } = await import('./run.ts');
      return (seed, onTrace) => {
        const failure = runSeed(seed, onTrace);
        return Promise.resolve(failure && { time: failure.time.toFixed(1), text: failure.text });
      };
    },
  },
  process.argv.slice(2),
);
