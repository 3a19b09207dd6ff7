/** `main.ts --seed S --runs N` runs N swarms of managers from seed S on; `--trace` and `--mutants` as `raft-ts` has them. */
import { fileURLToPath } from 'node:url';
import { runCommandLine } from '#raft-ts/sim/command-line.ts';
import { MUTANTS } from './mutants.ts';

process.exitCode = await runCommandLine(
  {
    file: fileURLToPath(import.meta.url),
    name: 'test/sim/main.ts',
    command: 'node test/sim/main.ts',
    runs: 20,
    shownTraceLines: 150,
    mutants: MUTANTS,
    mutantsFolder: new URL('../../', import.meta.url),
    mutantRuns: 400,
    load: async () => {
      const { runSeed } = await import('./run.ts');
      return async (seed, onTrace) => {
        const { failure } = await runSeed(seed, onTrace);
        return failure && { time: `${failure.timeMs.toFixed(1)} ms`, text: failure.text };
      };
    },
  },
  process.argv.slice(2),
);
