import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { collectFailures } from '../shared/each.ts';

export const serviceRm: CommandImplementation = {
  flags: [],
  examples: ['swarm service rm web', 'swarm service rm $(swarm service ls -q)'],
  argumentKind: 'service',
  run: removeServices,
};

async function removeServices({ context, arguments: references }: Invocation): Promise<void> {
  const api = await context.api();
  const failures = collectFailures();
  for (const reference of references)
    await failures.attempt(async () => {
      await api.control.removeService({ reference });
      printLine(context, reference);
    });
  failures.report();
}
