import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { boolFlag } from '../../flags.ts';
import { collectFailures } from '../shared/each.ts';
import { waitForContainer } from './wait-for-container.ts';

const FORCE = boolFlag({ name: 'force', short: 'f', usage: 'Stop it first, where it has not ended' });

export const taskRm: CommandImplementation = {
  flags: [FORCE],
  examples: ['swarm task rm relay', 'swarm task rm --force relay'],
  argumentKind: 'task',
  run: removeContainers,
};

async function removeContainers({ context, flags, arguments: references }: Invocation): Promise<void> {
  const api = await context.api();
  const failures = collectFailures();
  for (const reference of references)
    await failures.attempt(async () => {
      const { id } = await api.containers.removeContainer({ reference, force: flags.isSet(FORCE) });
      await waitForContainer(context, id, () => false);
      printLine(context, reference);
    });
  failures.report();
}
