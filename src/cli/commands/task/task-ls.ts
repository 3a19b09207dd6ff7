import type { TaskView } from '#gen/swarm/v1/control.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printTasks, printTaskViews, TASK_LIST_FLAGS } from '../service/service-ps.ts';
import { FILTER } from '../shared/format-flags.ts';
import { isOnWorker } from '../shared/on-worker.ts';

export const taskLs: CommandImplementation = {
  flags: TASK_LIST_FLAGS,
  examples: ['swarm task ls', 'swarm task ls --filter desired-state=running --filter node=node-b'],
  run: listTasks,
};

async function listTasks(invocation: Invocation): Promise<void> {
  const { context, flags } = invocation;
  try {
    await printTasks(invocation, {});
    return;
  } catch (thrown) {
    if (!isOnWorker(thrown) || flags.given(FILTER)) throw thrown;
  }
  const own: TaskView[] = [];
  for await (const { containers } of (await context.api()).containers.listContainers({})) own.push(...containers);
  printTaskViews(invocation, own);
}
