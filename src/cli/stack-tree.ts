/** The commands for stacks. */
import { AT_LEAST_ONE, type CommandGroup, NO_ARGUMENTS, ONE_ARGUMENT, UP_TO_ONE_ARGUMENT } from './command.ts';
import { command, group, OPTIONS } from './tree-parts.ts';

export const STACK: CommandGroup = group('stack', 'Manage Swarm stacks', [
  command(
    'config',
    'Outputs the final config file, after doing merges and interpolations',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/stack/stack-config.ts')).stackConfig,
  ),
  command(
    'deploy',
    'Deploy a new stack or update an existing stack',
    '[OPTIONS] [STACK]',
    UP_TO_ONE_ARGUMENT,
    async () => (await import('./commands/stack/stack-deploy.ts')).stackDeploy,
    { aliases: ['up'] },
  ),
  command(
    'ls',
    'List stacks',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/stack/stack-ls.ts')).stackLs,
    {
      aliases: ['list'],
    },
  ),
  command(
    'ps',
    'List the tasks in the stack',
    '[OPTIONS] STACK',
    ONE_ARGUMENT,
    async () => (await import('./commands/stack/stack-ps.ts')).stackPs,
  ),
  command(
    'rm',
    'Remove one or more stacks',
    '[OPTIONS] STACK [STACK...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/stack/stack-rm.ts')).stackRm,
    { aliases: ['remove', 'down'] },
  ),
  command(
    'services',
    'List the services in the stack',
    '[OPTIONS] STACK',
    ONE_ARGUMENT,
    async () => (await import('./commands/stack/stack-services.ts')).stackServices,
  ),
]);
