import type { CommandImplementation, Invocation } from '../../command.ts';
import { printTasks, TASK_LIST_FLAGS } from '../service/service-ps.ts';
import { collectFailures } from '../shared/each.ts';

export const nodePs: CommandImplementation = {
  flags: TASK_LIST_FLAGS,
  examples: ['swarm node ps', 'swarm node ps node-b', 'swarm node ps --filter desired-state=running node-a node-b'],
  argumentKind: 'node',
  run: listTasksOfNodes,
};

async function listTasksOfNodes(invocation: Invocation): Promise<void> {
  const { context, arguments: named } = invocation;
  const api = await context.api();
  const nodeIds: string[] = [];
  const failures = collectFailures();
  for (const reference of named.length === 0 ? ['self'] : named)
    await failures.attempt(async () => {
      const { node } = await api.control.getNode({ reference });
      if (node !== undefined && !nodeIds.includes(node.id)) nodeIds.push(node.id);
    });
  if (nodeIds.length > 0) await printTasks(invocation, { nodeIds });
  failures.report();
}
