import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { boolFlag } from '../../flags.ts';
import { unlockText } from './unlock-text.ts';

const QUIET = boolFlag({ name: 'quiet', short: 'q', usage: 'Only display token' });
const ROTATE = boolFlag({ name: 'rotate', usage: 'Rotate unlock key' });

export const unlockKey: CommandImplementation = {
  flags: [QUIET, ROTATE],
  examples: ['swarm unlock-key', 'swarm unlock-key --quiet', 'swarm unlock-key --rotate'],
  run: showKey,
};

async function showKey({ context, flags }: Invocation): Promise<void> {
  const api = await context.api();
  const isRotated = flags.isSet(ROTATE);
  const { unlockKey: key } = isRotated ? await api.unlockKey.rotateUnlockKey({}) : await api.unlockKey.getUnlockKey({});
  if (key === '')
    throw new CliError('no unlock key is set', {
      hint: 'managers are not locked automatically: `swarm update --autolock=true` changes that',
    });
  if (flags.isSet(QUIET)) {
    printLine(context, key);
    return;
  }
  if (isRotated) printLine(context, 'Successfully rotated manager unlock key.\n');
  printLine(context, unlockText(key));
  if (isRotated)
    printLine(
      context,
      '\nKeep the key of before until every manager has taken over this one: a manager that is down now needs that one once more.',
    );
}
