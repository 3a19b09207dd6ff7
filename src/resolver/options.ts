/** The command line of the resolver, which only the daemon writes. */
import { parseArgs } from 'node:util';
import { SwarmError } from '#common/errors.ts';

export interface ResolverOptions {
  /** Absolute; exists and is private. */
  readonly directory: string;
  readonly programVersion: string;
  /** Takes the place of the one that runs, when the daemon says so. */
  readonly next: boolean;
}

/** @throws SwarmError `bad-flag`. */
export function parseResolverOptions(args: readonly string[]): ResolverOptions {
  const bad = (message: string): SwarmError =>
    new SwarmError({ code: 'invalid', reason: 'bad-flag', message, hint: 'swarmd starts the resolver by itself' });
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        directory: { type: 'string' },
        'program-version': { type: 'string', default: '' },
        next: { type: 'boolean', default: false },
      },
    });
    if (values.directory?.startsWith('/') !== true) throw bad('--directory needs an absolute path');
    return { directory: values.directory, programVersion: values['program-version'], next: values.next };
  } catch (error) {
    throw error instanceof SwarmError ? error : bad(SwarmError.from(error).message);
  }
}
