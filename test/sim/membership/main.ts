/** `main.ts --seed S --runs N` runs N random histories of nodes from seed S on; `--trace` and `--mutants` as `test/sim` has them. */
import { fileURLToPath } from 'node:url';
import { runCommandLine } from '#raft-ts/sim/command-line.ts';
import { MUTANTS } from './mutants.ts';

process.exitCode = await runCommandLine(
  {
    file: fileURLToPath(import.meta.url),
    name: 'test/sim/membership/main.ts',
    command: 'node test/sim/membership/main.ts',
    runs: 20,
    shownTraceLines: 100,
    mutants: MUTANTS,
    mutantsFolder: new URL('../../../', import.meta.url),
    mutantRuns: 60,
    load: async () => {
      const { runMembership } = await import('./run.ts');
      return async (seed, onTrace) => {
        const failure = await runMembership(seed, onTrace);
        return failure && { time: `${failure.timeMs} ms`, text: failure.text };
      };
    },
  },
  process.argv.slice(2),
);
