/** `swarm volume`. */
import { ABSENT_VOLUME_COMMANDS } from './absent-commands.ts';
import { AT_LEAST_ONE, type CommandGroup, NO_ARGUMENTS, UP_TO_ONE_ARGUMENT } from './command.ts';
import { command, group, OPTIONS } from './tree-parts.ts';

export const VOLUME: CommandGroup = group('volume', 'Manage volumes', [
  command(
    'create',
    'Create a volume',
    '[OPTIONS] [VOLUME]',
    UP_TO_ONE_ARGUMENT,
    async () => (await import('./commands/volume/volume-create.ts')).volumeCreate,
  ),
  command(
    'inspect',
    'Display detailed information on one or more volumes',
    '[OPTIONS] VOLUME [VOLUME...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/volume/volume-inspect.ts')).volumeInspect,
  ),
  command(
    'ls',
    'List volumes',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/volume/volume-ls.ts')).volumeLs,
    { aliases: ['list'] },
  ),
  command(
    'prune',
    'Remove unused local volumes',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/volume/volume-prune.ts')).volumePrune,
  ),
  command(
    'rm',
    'Remove one or more volumes',
    '[OPTIONS] VOLUME [VOLUME...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/volume/volume-rm.ts')).volumeRm,
    { aliases: ['remove'] },
  ),
  ...ABSENT_VOLUME_COMMANDS,
]);
