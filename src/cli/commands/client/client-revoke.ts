import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { collectFailures } from '../shared/each.ts';

export const clientRevoke: CommandImplementation = {
  flags: [],
  examples: ['swarm client revoke ci', 'swarm client revoke contractor old-dashboard'],
  argumentKind: 'client',
  run: revoke,
};

async function revoke({ context, arguments: references }: Invocation): Promise<void> {
  const api = await context.api();
  const failures = collectFailures();
  for (const reference of references)
    await failures.attempt(async () => {
      await api.clients.revokeClient({ reference });
      printLine(context, reference);
    });
  failures.report();
}
