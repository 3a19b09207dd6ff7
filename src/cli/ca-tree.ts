/** `swarm ca`. */
import { type Command, NO_ARGUMENTS } from './command.ts';
import { command, OPTIONS } from './tree-parts.ts';

export const CA: Command = command(
  'ca',
  'Display and rotate the root CA',
  OPTIONS,
  NO_ARGUMENTS,
  async () => (await import('./commands/cluster/ca.ts')).ca,
);
