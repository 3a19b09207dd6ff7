/** The environment and the command line of a container's first process. Pure. */
import { invalidField, SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import type { ContainerSpec, ImageDefaults } from './container-spec.ts';

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

function refuseTooLarge(field: string, limit: keyof typeof LIMITS, size: number): never {
  throw new SwarmError({
    code: 'invalid',
    reason: 'too-large',
    field,
    limit,
    message: `${field}: ${size} bytes are more than the kernel passes to a program (${LIMITS[limit]})`,
    hint: 'pass large data in a file, through a config, a volume or the image',
  });
}

function checkTexts(field: string, texts: readonly string[], limit: 'ARGS_TOTAL_BYTES' | 'ENV_TOTAL_BYTES'): void {
  let total = 0;
  for (const text of texts) {
    if (text.includes('\0')) throw invalidField(field, `${field}: an entry has a NUL character`);
    const bytes = Buffer.byteLength(text);
    if (bytes >= LIMITS.ENV_ENTRY_BYTES) refuseTooLarge(field, 'ENV_ENTRY_BYTES', bytes);
    total += bytes + 1;
  }
  if (total > LIMITS[limit]) refuseTooLarge(field, limit, total);
}

/** Entrypoint and command, ours over the image's as in Docker. Throws when there is nothing to run. */
export function buildArguments(spec: ContainerSpec, image: ImageDefaults): readonly string[] {
  const replaced = spec.command.length > 0;
  const entrypoint = replaced ? spec.command : image.entrypoint;
  const args = spec.args.length > 0 || replaced ? spec.args : image.command;
  const all = [...entrypoint, ...args];
  if (all.length === 0 || all[0] === '')
    throw new SwarmError({
      code: 'invalid',
      reason: 'command-not-found',
      field: 'command',
      message: 'no command: neither the image nor the service says what to run',
      hint: 'give a command after the image name, or an ENTRYPOINT or CMD in the image',
    });
  checkTexts('args', all, 'ARGS_TOTAL_BYTES');
  return all;
}

/** What is set without anyone asking, then the image's, then ours; a name without `=` removes. */
export function buildEnvironment(spec: ContainerSpec, image: ImageDefaults, home: string): readonly string[] {
  const values = new Map([
    ['PATH', DEFAULT_PATH],
    ['HOSTNAME', spec.hostname],
    ...(spec.tty ? [['TERM', 'xterm'] as const] : []),
  ]);
  for (const entry of [...image.env, ...spec.env]) {
    const equals = entry.indexOf('=');
    if (equals === 0 || entry === '')
      throw invalidField('env', `env: ${JSON.stringify(entry)} has no name`, 'write NAME=value');
    if (equals < 0) values.delete(entry);
    else values.set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  if (!values.has('HOME')) values.set('HOME', home);
  const environment = [...values].map(([name, value]) => `${name}=${value}`);
  checkTexts('env', environment, 'ENV_TOTAL_BYTES');
  return environment;
}
