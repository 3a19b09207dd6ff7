import type { Node } from '#gen/swarm/v1/objects.ts';
import type { TaskMove } from '#gen/swarm/v1/rebalance.ts';
import type { SwarmApi } from '../../api.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { boolFlag, valueFlag } from '../../flags.ts';
import { unsigned } from '../../values/scalars.ts';

const MAX_MOVES = valueFlag({
  name: 'max-moves',
  type: 'uint',
  usage: 'Move no more tasks than this (default 0 = no limit)',
  parse: unsigned,
});
const DRY_RUN = boolFlag({ name: 'dry-run', usage: 'Show what would be moved, and leave it where it is' });

export const serviceRebalance: CommandImplementation = {
  flags: [MAX_MOVES, DRY_RUN],
  examples: [
    'swarm service rebalance --dry-run',
    'swarm service rebalance --max-moves 10',
    'swarm service rebalance web',
  ],
  argumentKind: 'service',
  run: rebalance,
};

async function rebalance({ context, flags, arguments: services }: Invocation): Promise<void> {
  const api = await context.api();
  const maxMoves = flags.value(MAX_MOVES) ?? 0;
  const { moves, notes } = await api.rebalance.rebalance({ services, maxMoves, dryRun: flags.isSet(DRY_RUN) });
  const hostnames = moves.length === 0 ? new Map<string, string>() : await hostnamesById(api);
  for (const move of moves) printLine(context, describe(move, hostnames));
  for (const note of notes) printLine(context, note);
  printLine(context, summary(moves.length, flags.isSet(DRY_RUN)));
}

function describe(move: TaskMove, hostnames: ReadonlyMap<string, string>): string {
  const name = (id: string): string => hostnames.get(id) ?? id;
  return `${move.serviceName}.${move.slot}: ${name(move.fromNodeId)} -> ${name(move.toNodeId)} (${move.reason})`;
}

function summary(count: number, isDryRun: boolean): string {
  if (count === 0) return 'no task would be better elsewhere';
  const tasks = count === 1 ? '1 task' : `${count} tasks`;
  if (isDryRun) return `${tasks} would be moved`;
  return `${tasks} will be moved, as many of a service at once as its updates replace`;
}

async function hostnamesById(api: SwarmApi): Promise<ReadonlyMap<string, string>> {
  const nodes: Node[] = [];
  for await (const page of api.control.listNodes({})) nodes.push(...page.nodes);
  return new Map(nodes.map((node) => [node.id, node.description?.hostname || node.id]));
}
