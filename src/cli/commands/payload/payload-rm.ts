import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { collectFailures } from '../shared/each.ts';
import { CONFIGS, type PayloadKind, SECRETS } from './payload-kind.ts';

function removeCommand(kind: PayloadKind, examples: readonly string[]): CommandImplementation {
  return {
    flags: [],
    examples,
    argumentKind: kind.word,
    run: async ({ context, arguments: references }: Invocation): Promise<void> => {
      const api = await context.api();
      const failures = collectFailures();
      for (const reference of references)
        await failures.attempt(async () => {
          await kind.remove(api, reference);
          printLine(context, reference);
        });
      failures.report();
    },
  };
}

export const secretRm = removeCommand(SECRETS, ['swarm secret rm db-password']);
export const configRm = removeCommand(CONFIGS, ['swarm config rm nginx.conf app.conf']);
