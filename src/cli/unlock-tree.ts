/** `swarm unlock` and `swarm unlock-key`. */
import { type Command, NO_ARGUMENTS } from './command.ts';
import { command, OPTIONS } from './tree-parts.ts';

export const UNLOCK: Command = command(
  'unlock',
  'Unlock swarm',
  '',
  NO_ARGUMENTS,
  async () => (await import('./commands/cluster/unlock.ts')).unlock,
);

export const UNLOCK_KEY: Command = command(
  'unlock-key',
  'Manage the unlock key',
  OPTIONS,
  NO_ARGUMENTS,
  async () => (await import('./commands/cluster/unlock-key.ts')).unlockKey,
);
