import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine, printWarning } from '../../context.ts';
import { boolFlag } from '../../flags.ts';

const FORCE = boolFlag({
  name: 'force',
  short: 'f',
  usage: 'Force this node to leave the swarm, ignoring warnings',
});

export const leave: CommandImplementation = {
  flags: [FORCE],
  examples: ['swarm leave', 'swarm leave --force'],
  run: leaveSwarm,
};

async function leaveSwarm({ context, flags }: Invocation): Promise<void> {
  const api = await context.api();
  const { warnings } = await api.node.leaveSwarm({ force: flags.isSet(FORCE) });
  for (const warning of warnings) printWarning(context, `warning: ${warning}`);
  printLine(context, 'Node left the swarm.');
}
