import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { currentName } from './known-contexts.ts';

export const contextShow: CommandImplementation = {
  flags: [],
  examples: ['swarm context show'],
  run: async ({ context }: Invocation): Promise<void> => printLine(context, await currentName(context)),
};
