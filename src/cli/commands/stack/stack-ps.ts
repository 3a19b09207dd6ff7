import type { CommandImplementation, Invocation } from '../../command.ts';
import { printTasks, TASK_LIST_FLAGS } from '../service/service-ps.ts';
import { stackServiceIds } from './stack-members.ts';

export const stackPs: CommandImplementation = {
  flags: TASK_LIST_FLAGS,
  examples: ['swarm stack ps vote', 'swarm stack ps --filter desired-state=running --no-trunc vote'],
  argumentKind: 'stack',
  run: listTasks,
};

async function listTasks(invocation: Invocation): Promise<void> {
  const [name = ''] = invocation.arguments;
  const serviceIds = await stackServiceIds(await invocation.context.api(), name);
  // No services at all would ask for the tasks of every service.
  if (serviceIds.length > 0) await printTasks(invocation, { serviceIds });
}
