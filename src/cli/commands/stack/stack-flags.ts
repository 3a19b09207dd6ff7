/** Flags of the stack commands, with Docker's spelling. */
import { boolFlag, listFlag, valueFlag } from '../../flags.ts';
import { oneOf } from '../../values/scalars.ts';

export const COMPOSE_FILE = listFlag({
  name: 'compose-file',
  short: 'c',
  type: 'strings',
  usage: 'Path to a Compose file, or "-" to read from stdin',
  completions: 'file',
});
/** Not Docker's: its files of variables cannot be named. */
export const ENV_FILE = listFlag({
  name: 'env-file',
  usage: 'Read variables for the Compose file from a file (default .env beside it)',
  completions: 'file',
});
export const PROFILE = listFlag({
  name: 'profile',
  usage: 'Deploy services of this profile, too ("*" for all)',
});
export const PRUNE = boolFlag({ name: 'prune', usage: 'Remove what the Compose file does not have any more' });
export const DRY_RUN = boolFlag({
  name: 'dry-run',
  usage: 'Show what would change, field by field, and change nothing',
});
export const RESOLVE_IMAGE = valueFlag({
  name: 'resolve-image',
  type: 'string',
  usage: 'Query the registry to resolve image digest and supported platforms ("always", "changed", "never")',
  shownDefault: '"always"',
  completions: ['always', 'changed', 'never'],
  parse: oneOf(
    { always: 'always', changed: 'changed', never: 'never' },
    (text) => `invalid option ${text} for flag --resolve-image`,
  ),
});
export const WITH_REGISTRY_AUTH = boolFlag({
  name: 'with-registry-auth',
  usage: 'Send registry authentication details to Swarm agents',
});
export const DETACH_DEPLOY = boolFlag({
  name: 'detach',
  short: 'd',
  usage: 'Exit immediately instead of waiting for the stack services to converge',
});
export const DETACH_REMOVE = boolFlag({ name: 'detach', short: 'd', usage: 'Do not wait for stack removal' });
export const QUIET = boolFlag({ name: 'quiet', short: 'q', usage: 'Suppress progress output' });
export const SKIP_INTERPOLATION = boolFlag({
  name: 'skip-interpolation',
  usage: 'Skip interpolation and output only merged config',
});
export const VOLUMES = boolFlag({
  name: 'volumes',
  usage: 'Remove the volumes that the stack declares, with their data',
});
