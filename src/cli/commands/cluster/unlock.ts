import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { type CliContext, printLine } from '../../context.ts';

export const unlock: CommandImplementation = {
  flags: [],
  examples: ['swarm unlock', 'swarm unlock < /safe/place/unlock.key'],
  run: unlockSwarm,
};

/** Far longer than a key; what comes behind it is not read. */
const INPUT_CHARACTERS_MAX = 4_096;

/** Starting again takes as long as it does at boot: the log is read, and other managers may have to be waited for. */
const UNLOCK_TIMEOUT_MS = 120_000;

async function unlockSwarm({ context }: Invocation): Promise<void> {
  const api = await context.api();
  const key = await readKey(context);
  await api.node.unlockSwarm({ unlockKey: key }, { timeoutMs: UNLOCK_TIMEOUT_MS });
  printLine(context, 'Swarm unlocked: this node goes on as a manager.');
}

/** Never an argument: other users of the host could read it, and the shell would remember it. */
async function readKey(context: CliContext): Promise<string> {
  const { stdin } = context;
  if (stdin.isTerminal) context.stdout.write('Please enter unlock key: ');
  const showAgain = stdin.isTerminal ? stdin.hideInput?.() : undefined;
  try {
    const line = await firstLine(stdin.chunks());
    if (line === '')
      throw new CliError('no unlock key was given', { hint: 'enter the key that `swarm unlock-key` printed' });
    return line;
  } finally {
    showAgain?.();
    if (stdin.isTerminal) context.stdout.write('\n');
  }
}

/** With echo off a terminal hands on every key: the end of the line, corrections and Ctrl-C are for the reader. */
async function firstLine(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let line = '';
  for await (const chunk of chunks) {
    for (const character of decoder.decode(chunk, { stream: true })) {
      if (character === '\n' || character === '\r' || character === '\u0004') return line.trim();
      if (character === '\u0003') throw new CliError('interrupted');
      if (character === '\u007f' || character === '\b') line = line.slice(0, -1);
      else line += character;
    }
    if (line.length > INPUT_CHARACTERS_MAX) return line.trim();
  }
  return line.trim();
}
