import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { boolFlag } from '../../flags.ts';
import { collectFailures } from '../shared/each.ts';

const FORCE = boolFlag({ name: 'force', short: 'f', usage: 'Force remove a node from the swarm' });

export const nodeRm: CommandImplementation = {
  flags: [FORCE],
  examples: ['swarm node rm node-b', 'swarm node rm --force node-b'],
  argumentKind: 'node',
  run: removeNodes,
};

async function removeNodes({ context, flags, arguments: references }: Invocation): Promise<void> {
  const api = await context.api();
  const failures = collectFailures();
  for (const reference of references)
    await failures.attempt(async () => {
      await api.control.removeNode({ reference, force: flags.isSet(FORCE) });
      printLine(context, reference);
    });
  failures.report();
}
