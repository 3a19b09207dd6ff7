import type { CommandImplementation, Invocation } from '../command.ts';
import { complete as answerFor } from '../completion/candidates.ts';
import { GLOBAL_FLAGS } from '../global-flags.ts';

/** Bits of the last line, as the completion scripts understand them. */
const DIRECTIVE_DEFAULT = 0;
const DIRECTIVE_NO_FILES = 4;

/** What the completion scripts call: a line for every candidate with its description, then a line with a directive. */
export const complete: CommandImplementation = {
  flags: [],
  examples: [],
  run: answer,
};

async function answer({ context, root, arguments: words }: Invocation): Promise<void> {
  const { candidates, mayBeFile } = await answerFor({ root, globalFlags: GLOBAL_FLAGS, context }, words);
  for (const { value, description } of candidates) context.stdout.write(`${value}\t${description}\n`);
  context.stdout.write(`:${mayBeFile ? DIRECTIVE_DEFAULT : DIRECTIVE_NO_FILES}\n`);
}
