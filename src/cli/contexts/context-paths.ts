/** Where contexts are, and which one is meant: small, since every command asks. */
import { readdir, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { CliError } from '../cli-errors.ts';

type Variables = Readonly<Record<string, string | undefined>>;

/** The daemon of this machine. */
export const DEFAULT_CONTEXT = 'default';
/** Names the context where no flag does. */
export const CONTEXT_VARIABLE = 'STARLING_CONTEXT';

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.+-]{0,62}$/;

export interface ContextPaths {
  /** A directory for each context. */
  readonly contexts: string;
  /** A file with the name of the one that is used when nothing else is said. */
  readonly current: string;
}

/** In the user's configuration, as the XDG base directory specification has it. */
export function contextPaths(variables: Variables): ContextPaths {
  const named = variables.XDG_CONFIG_HOME ?? '';
  // The specification has relative ones ignored.
  const base = isAbsolute(named) ? named : join(variables.HOME || homedir(), '.config');
  return { contexts: join(base, 'starling', 'contexts'), current: join(base, 'starling', 'current-context') };
}

/** @throws CliError for a name that none can have; no other is ever made part of a path */
export function checkContextName(name: string): string {
  if (NAME.test(name)) return name;
  throw new CliError(`context name ${JSON.stringify(name.slice(0, 80))} is invalid`, {
    hint: 'names are up to 63 characters of [a-zA-Z0-9_.+-], and begin with a letter or digit',
  });
}

/** What `swarm context use` chose; the daemon of this machine where it chose nothing. */
export async function currentContext({ current }: ContextPaths): Promise<string> {
  let text: string;
  try {
    text = (await readFile(current, 'utf8')).trim();
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    // Another user's configuration (sudo) is not this one's.
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return DEFAULT_CONTEXT;
    throw new CliError(`${current} cannot be read: ${code ?? String(thrown)}`, { hint: 'see `swarm context use`' });
  }
  return text === '' ? DEFAULT_CONTEXT : checkContextName(text);
}

/** Names, in order, without that of the daemon of this machine. */
export async function contextNames({ contexts }: ContextPaths): Promise<readonly string[]> {
  try {
    const entries = await readdir(contexts, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
      .map(({ name }) => name)
      .toSorted();
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new CliError(`cannot list ${contexts}: ${(thrown as Error).message}`);
  }
}
