/** Flags of the program itself, before the command's name. */
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { DEFAULT_SOCKET_PATH, SOCKET_VARIABLE } from '../client/socket-path.ts';
import { FlagValueError } from './cli-errors.ts';
import { type AnyFlag, boolFlag, type FlagValues, refusedFlag, stringFlag, valueFlag } from './flags.ts';

function socketPathOf(text: string): string {
  const path = text.replace(/^unix:(?:\/\/)?/, '');
  if (/^[a-z]+:\/\//.test(path))
    throw new FlagValueError(
      'only the socket of this machine can be named: managers elsewhere are called with a context',
      'on a manager: swarm client create NAME --output - ; here: swarm context import NAME - ; then swarm --context NAME ...',
    );
  if (!isAbsolute(path)) throw new FlagValueError('not an absolute path', `use unix://${DEFAULT_SOCKET_PATH}`);
  return path;
}

export const SOCKET = valueFlag({
  name: 'socket',
  type: 'string',
  usage: 'Daemon socket to connect to',
  shownDefault: JSON.stringify(DEFAULT_SOCKET_PATH),
  completions: 'file',
  parse: socketPathOf,
});

/** Docker's name for the same. */
export const HOST = valueFlag({
  name: 'host',
  short: 'H',
  type: 'string',
  usage: 'Daemon socket to connect to, as Docker names it (unix:///path)',
  parse: socketPathOf,
});

export const CONFIG = stringFlag({
  name: 'config',
  usage: "Location of Docker's client config files, for registry logins",
});

export const DEBUG = boolFlag({ name: 'debug', short: 'D', usage: 'Show where errors come from' });

export const VERSION = boolFlag({ name: 'version', short: 'v', usage: 'Print version information and quit' });

/** Docker's name for managers elsewhere. */
export const CONTEXT = stringFlag({
  name: 'context',
  short: 'c',
  usage:
    'Name of the context to use to connect to managers elsewhere (overrides STARLING_CONTEXT and the current context)',
  completions: 'context',
});

const REMOTE = {
  because: 'certificates, keys and what to trust come with a context',
  hint: 'use --context; contexts are made of bundles: swarm client create, swarm context import',
};

export const GLOBAL_FLAGS: readonly AnyFlag[] = [
  SOCKET,
  HOST,
  CONTEXT,
  CONFIG,
  DEBUG,
  VERSION,
  refusedFlag('log-level', true, { because: 'the command line writes no log', hint: 'use --debug' }, 'l'),
  ...['tlscacert', 'tlscert', 'tlskey'].map((name) => refusedFlag(name, true, REMOTE)),
  ...['tls', 'tlsverify'].map((name) => refusedFlag(name, false, REMOTE)),
];

/** The socket: by flag, by environment, or the usual one. Throws a FlagValueError. */
export function chosenSocket(flags: FlagValues, variables: Readonly<Record<string, string | undefined>>): string {
  const named = flags.value(SOCKET) ?? flags.value(HOST);
  if (named !== undefined) return named;
  const variable = variables[SOCKET_VARIABLE];
  if (variable === undefined || variable === '') return DEFAULT_SOCKET_PATH;
  try {
    return socketPathOf(variable);
  } catch (thrown) {
    if (!(thrown instanceof FlagValueError)) throw thrown;
    throw new FlagValueError(`${SOCKET_VARIABLE}=${variable}: ${thrown.message}`, thrown.hint);
  }
}

/** Where Docker keeps its logins. */
export function chosenConfigDirectory(
  flags: FlagValues,
  variables: Readonly<Record<string, string | undefined>>,
): string {
  // An empty variable is one that is not set.
  return flags.value(CONFIG) ?? (variables.DOCKER_CONFIG || join(variables.HOME || homedir(), '.docker'));
}
