/** `swarm context`. */
import { ABSENT_CONTEXT_COMMANDS } from './absent-commands.ts';
import {
  ANY_ARGUMENTS,
  AT_LEAST_ONE,
  type CommandGroup,
  NO_ARGUMENTS,
  ONE_ARGUMENT,
  TWO_ARGUMENTS,
  UP_TO_ONE_ARGUMENT,
} from './command.ts';
import { command, group, OPTIONS } from './tree-parts.ts';

export const CONTEXT: CommandGroup = group('context', 'Manage contexts', [
  command(
    'export',
    'Export a context, with its key, to a file or to standard output',
    'CONTEXT [FILE|-]',
    { min: 1, max: 2 },
    async () => (await import('./commands/context/context-export.ts')).contextExport,
  ),
  command(
    'import',
    'Import a context from a bundle: its directory, or the document that was made of it',
    '[OPTIONS] CONTEXT DIRECTORY|FILE|-',
    TWO_ARGUMENTS,
    async () => (await import('./commands/context/context-import.ts')).contextImport,
  ),
  command(
    'inspect',
    'Display detailed information on one or more contexts',
    '[OPTIONS] [CONTEXT] [CONTEXT...]',
    ANY_ARGUMENTS,
    async () => (await import('./commands/context/context-inspect.ts')).contextInspect,
  ),
  command(
    'ls',
    'List contexts',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/context/context-ls.ts')).contextLs,
    { aliases: ['list'] },
  ),
  command(
    'renew',
    'Get another certificate for a context before its own ends',
    '[CONTEXT]',
    UP_TO_ONE_ARGUMENT,
    async () => (await import('./commands/context/context-renew.ts')).contextRenew,
  ),
  command(
    'rm',
    'Remove one or more contexts',
    '[OPTIONS] CONTEXT [CONTEXT...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/context/context-rm.ts')).contextRm,
    { aliases: ['remove'] },
  ),
  command(
    'show',
    'Print the name of the current context',
    '',
    NO_ARGUMENTS,
    async () => (await import('./commands/context/context-show.ts')).contextShow,
  ),
  command(
    'use',
    'Set the current context',
    'CONTEXT',
    ONE_ARGUMENT,
    async () => (await import('./commands/context/context-use.ts')).contextUse,
  ),
  ...ABSENT_CONTEXT_COMMANDS,
]);
