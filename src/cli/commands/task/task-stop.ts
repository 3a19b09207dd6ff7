import { TaskState } from '#gen/swarm/v1/objects.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { boolFlag } from '../../flags.ts';
import { collectFailures } from '../shared/each.ts';
import { waitForContainer } from './wait-for-container.ts';

const DETACH = boolFlag({ name: 'detach', short: 'd', usage: 'Exit immediately instead of waiting for the end' });

export const taskStop: CommandImplementation = {
  flags: [DETACH],
  examples: ['swarm task stop relay', 'swarm task stop --detach relay backup'],
  argumentKind: 'task',
  run: stopContainers,
};

async function stopContainers({ context, flags, arguments: references }: Invocation): Promise<void> {
  const api = await context.api();
  const failures = collectFailures();
  for (const reference of references)
    await failures.attempt(async () => {
      const { id } = await api.containers.stopContainer({ reference });
      if (!flags.isSet(DETACH))
        await waitForContainer(context, id, ({ status }) => (status?.state ?? TaskState.NEW) > TaskState.RUNNING);
      printLine(context, reference);
    });
  failures.report();
}
