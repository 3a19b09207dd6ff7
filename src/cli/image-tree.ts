/** The commands for images of a node. */
import { ABSENT_IMAGE_COMMANDS } from './absent-commands.ts';
import {
  AT_LEAST_ONE,
  type CommandGroup,
  NO_ARGUMENTS,
  ONE_ARGUMENT,
  TWO_ARGUMENTS,
  UP_TO_ONE_ARGUMENT,
} from './command.ts';
import { command, group, OPTIONS } from './tree-parts.ts';

export const IMAGE_BUILD = command(
  'build',
  'Build an image from a Dockerfile',
  '[OPTIONS] PATH | -',
  ONE_ARGUMENT,
  async () => (await import('./commands/image/image-build.ts')).imageBuild,
  { alsoKnownAs: ['swarm build'] },
);

export const IMAGE_LOAD = command(
  'load',
  'Load an image from a tar archive or STDIN',
  OPTIONS,
  NO_ARGUMENTS,
  async () => (await import('./commands/image/image-load.ts')).imageLoad,
  { alsoKnownAs: ['swarm load'] },
);

export const IMAGE_LS = command(
  'ls',
  'List images',
  '[OPTIONS] [REPOSITORY[:TAG]]',
  UP_TO_ONE_ARGUMENT,
  async () => (await import('./commands/image/image-ls.ts')).imageLs,
  { aliases: ['list'], alsoKnownAs: ['swarm images'] },
);

export const IMAGE_PULL = command(
  'pull',
  'Download an image from a registry',
  '[OPTIONS] NAME[:TAG|@DIGEST]',
  ONE_ARGUMENT,
  async () => (await import('./commands/image/image-pull.ts')).imagePull,
  { alsoKnownAs: ['swarm pull'] },
);

export const IMAGE_RM = command(
  'rm',
  'Remove one or more images',
  '[OPTIONS] IMAGE [IMAGE...]',
  AT_LEAST_ONE,
  async () => (await import('./commands/image/image-rm.ts')).imageRm,
  { aliases: ['remove'], alsoKnownAs: ['swarm rmi'] },
);

export const IMAGE_TAG = command(
  'tag',
  'Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE',
  'SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]',
  TWO_ARGUMENTS,
  async () => (await import('./commands/image/image-tag.ts')).imageTag,
  { alsoKnownAs: ['swarm tag'] },
);

export const IMAGE: CommandGroup = group('image', 'Manage the images of this node', [
  IMAGE_BUILD,
  command(
    'inspect',
    'Display detailed information on one or more images',
    '[OPTIONS] IMAGE [IMAGE...]',
    AT_LEAST_ONE,
    async () => (await import('./commands/image/image-inspect.ts')).imageInspect,
  ),
  IMAGE_LOAD,
  IMAGE_LS,
  command(
    'prune',
    'Remove unused images',
    OPTIONS,
    NO_ARGUMENTS,
    async () => (await import('./commands/image/image-prune.ts')).imagePrune,
  ),
  IMAGE_PULL,
  IMAGE_RM,
  IMAGE_TAG,
  ...ABSENT_IMAGE_COMMANDS,
]);
