import { type GetInfoResponse, LocalNodeState } from '#gen/swarm/v1/node.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { CliError, EXIT_INTERRUPTED, SilentExit } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { type CliContext, printLine } from '../../context.ts';
import { refusalOverContext } from '../../contexts/local-only.ts';

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
  const endpoint = await context.endpoint();
  if (endpoint.kind === 'context') throw refusalOverContext(endpoint.name, 'it is about the daemon of one machine');
  const api = await context.api();
  // Before the key is asked for: whoever types one that nobody needs has shown it for nothing.
  const refusal = refusalOf(await api.node.getInfo({}));
  if (refusal !== undefined) throw refusal;
  const key = await readKey(context);
  await api.node.unlockSwarm({ unlockKey: key }, { timeoutMs: UNLOCK_TIMEOUT_MS });
  printLine(context, 'Swarm unlocked: this node goes on as a manager.');
}

/** In Docker's words; undefined for a node that is locked. */
function refusalOf({ state, role, error }: GetInfoResponse): CliError | undefined {
  const notLocked = (hint: string): CliError => new CliError('Error: swarm is not locked', { hint });
  switch (state) {
    case LocalNodeState.LOCKED:
      return undefined;
    case LocalNodeState.UNSPECIFIED:
    case LocalNodeState.INACTIVE:
      return new CliError('Error: This node is not part of a swarm', {
        hint: 'only a manager that was locked and started again needs its key: `swarm info` says what this node is',
      });
    case LocalNodeState.ACTIVE:
      return notLocked(role === NodeRole.MANAGER ? 'this node is at work as a manager' : 'this node is a worker');
    case LocalNodeState.PENDING:
      return notLocked('this node starts: see `swarm info` in a moment');
    case LocalNodeState.ERROR:
      return notLocked(`this node cannot take part in the swarm: ${error || 'see `swarm info`'}`);
  }
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
      if (character === '\u0003') throw new SilentExit(EXIT_INTERRUPTED);
      if (character === '\u007f' || character === '\b') line = line.slice(0, -1);
      else line += character;
    }
    if (line.length > INPUT_CHARACTERS_MAX) return line.trim();
  }
  return line.trim();
}
