/** `swarm client`. Not Docker's. */
import { AT_LEAST_ONE, type CommandGroup, NO_ARGUMENTS, ONE_ARGUMENT } from './command.ts';
import { command, group, OPTIONS } from './tree-parts.ts';

export const CLIENT: CommandGroup = group('client', 'Manage clients: programs and people outside of the swarm', [
  command(
    'create',
    'Create a client, and write the bundle that it calls managers with',
    '[OPTIONS] NAME',
    ONE_ARGUMENT,
    async () => (await import('./commands/client/client-create.ts')).clientCreate,
  ),
  command(
    'inspect',
    'Display detailed information on one or more clients',
    '[OPTIONS] CLIENT [CLIENT...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/client/client-inspect.ts')).clientInspect,
  ),
  command(
    'ls',
    'List clients',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/client/client-ls.ts')).clientLs,
    { aliases: ['list'] },
  ),
  command(
    'renew',
    'Give a client a new key and certificate; those before are refused from then on',
    '[OPTIONS] CLIENT',
    ONE_ARGUMENT,
    async () => (await import('./commands/client/client-renew.ts')).clientRenew,
  ),
  command(
    'revoke',
    'Revoke one or more clients: they are refused from then on, on open connections too',
    'CLIENT [CLIENT...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/client/client-revoke.ts')).clientRevoke,
    { aliases: ['rm', 'remove'] },
  ),
]);
