/** The commands for secrets and configs. */
import { AT_LEAST_ONE, type CommandGroup, type CommandImplementation, NO_ARGUMENTS, ONE_ARGUMENT } from './command.ts';
import { command, group, OPTIONS } from './tree-parts.ts';

const FROM_ONE_TO_TWO = { min: 1, max: 2 };

interface Loaders {
  readonly create: () => Promise<CommandImplementation>;
  readonly inspect: () => Promise<CommandImplementation>;
  readonly ls: () => Promise<CommandImplementation>;
  readonly prune: () => Promise<CommandImplementation>;
  readonly rm: () => Promise<CommandImplementation>;
  readonly update: () => Promise<CommandImplementation>;
  readonly versions: () => Promise<CommandImplementation>;
}

function payloadGroup(word: 'secret' | 'config', loaders: Loaders): CommandGroup {
  const name = word.toUpperCase();
  const isSecret = word === 'secret';
  return group(word, `Manage Swarm ${word}s`, [
    command(
      'create',
      isSecret ? 'Create a secret from a file or STDIN as content' : 'Create a config from a file or STDIN',
      isSecret ? '[OPTIONS] SECRET [file|-]' : '[OPTIONS] CONFIG file|-',
      isSecret ? FROM_ONE_TO_TWO : { min: 2, max: 2 },
      loaders.create,
    ),
    command(
      'inspect',
      `Display detailed information on one or more ${word}s`,
      `[OPTIONS] ${name} [${name}...]`,
      AT_LEAST_ONE,
      loaders.inspect,
    ),
    command('ls', `List ${word}s`, OPTIONS, NO_ARGUMENTS, loaders.ls, { aliases: ['list'] }),
    command('prune', `Remove all ${word}s that nothing refers to`, OPTIONS, NO_ARGUMENTS, loaders.prune),
    command('rm', `Remove one or more ${word}s`, `${name} [${name}...]`, AT_LEAST_ONE, loaders.rm, {
      aliases: ['remove'],
    }),
    command(
      'update',
      `Make a new version of a ${word}, which services that follow it get`,
      `[OPTIONS] ${name} [file|-]`,
      FROM_ONE_TO_TWO,
      loaders.update,
    ),
    command('versions', `List the versions of a ${word}`, `[OPTIONS] ${name}`, ONE_ARGUMENT, loaders.versions),
  ]);
}

export const SECRET = payloadGroup('secret', {
  create: async () => (await import('./commands/payload/payload-create.ts')).secretCreate,
  inspect: async () => (await import('./commands/payload/payload-inspect.ts')).secretInspect,
  ls: async () => (await import('./commands/payload/payload-ls.ts')).secretLs,
  prune: async () => (await import('./commands/payload/payload-prune.ts')).secretPrune,
  rm: async () => (await import('./commands/payload/payload-rm.ts')).secretRm,
  update: async () => (await import('./commands/payload/payload-update.ts')).secretUpdate,
  versions: async () => (await import('./commands/payload/payload-versions.ts')).secretVersions,
});

export const CONFIG = payloadGroup('config', {
  create: async () => (await import('./commands/payload/payload-create.ts')).configCreate,
  inspect: async () => (await import('./commands/payload/payload-inspect.ts')).configInspect,
  ls: async () => (await import('./commands/payload/payload-ls.ts')).configLs,
  prune: async () => (await import('./commands/payload/payload-prune.ts')).configPrune,
  rm: async () => (await import('./commands/payload/payload-rm.ts')).configRm,
  update: async () => (await import('./commands/payload/payload-update.ts')).configUpdate,
  versions: async () => (await import('./commands/payload/payload-versions.ts')).configVersions,
});
