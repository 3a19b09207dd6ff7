import type { CommandImplementation, Invocation } from '../../command.ts';
import { printServices } from '../service/service-ls.ts';
import { FILTER, LIST_FORMAT, OUTPUT, QUIET_IDS } from '../shared/format-flags.ts';
import { stackServiceIds } from './stack-members.ts';

export const stackServices: CommandImplementation = {
  flags: [FILTER, LIST_FORMAT, OUTPUT, QUIET_IDS],
  examples: ['swarm stack services vote', 'swarm stack services --filter name=vote_db vote'],
  argumentKind: 'stack',
  run: listServices,
};

async function listServices(invocation: Invocation): Promise<void> {
  const [name = ''] = invocation.arguments;
  const ids = new Set(await stackServiceIds(await invocation.context.api(), name));
  await printServices(invocation, ({ service }) => ids.has(service?.id ?? ''));
}
