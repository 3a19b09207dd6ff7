import { script } from '@bomb.sh/tab';
import { CliError } from '../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../command.ts';
import { bashScript } from '../completion/bash-script.ts';

const SHELLS = ['bash', 'zsh', 'fish'];

export const completion: CommandImplementation = {
  flags: [],
  examples: [
    'source <(swarm completion bash)',
    'swarm completion zsh > "${fpath[1]}/_swarm"',
    'swarm completion fish > ~/.config/fish/completions/swarm.fish',
  ],
  argumentKind: SHELLS,
  run: printScript,
};

async function printScript({ context, arguments: [shell = ''] }: Invocation): Promise<void> {
  if (!SHELLS.includes(shell))
    throw new CliError(`no completion for ${JSON.stringify(shell)}`, { hint: `use ${SHELLS.join(', ')}` });
  if (shell === 'bash') context.stdout.write(bashScript('swarm'));
  // Writes to standard output by itself.
  else script(shell, 'swarm', 'swarm');
}
