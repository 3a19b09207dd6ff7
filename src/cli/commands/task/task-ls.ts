import type { CommandImplementation, Invocation } from '../../command.ts';
import { printTasks, TASK_LIST_FLAGS } from '../service/service-ps.ts';

export const taskLs: CommandImplementation = {
  flags: TASK_LIST_FLAGS,
  examples: ['swarm task ls', 'swarm task ls --filter desired-state=running --filter node=node-b'],
  run: async (invocation: Invocation) => printTasks(invocation, {}),
};
