/** Where the daemon of this machine listens; apart from the client, which takes longer to load. */
import { isAbsolute } from 'node:path';
import { invalidField } from '#common/errors.ts';

export const DEFAULT_SOCKET_PATH = '/run/starling/swarm.sock';

/** Names another socket than the default one. */
export const SOCKET_VARIABLE = 'STARLING_SOCKET';

/** The daemon's socket: what the environment names, else the default. `unix://` in front is understood. */
export function socketPath(environment: Readonly<Record<string, string | undefined>>): string {
  const named = environment[SOCKET_VARIABLE];
  if (named === undefined || named === '') return DEFAULT_SOCKET_PATH;
  const path = named.replace(/^unix:(?:\/\/)?/, '');
  if (!isAbsolute(path))
    throw invalidField(
      SOCKET_VARIABLE,
      `${SOCKET_VARIABLE} is not an absolute path: ${JSON.stringify(named)}`,
      `unset it, or set it to a path such as ${DEFAULT_SOCKET_PATH}`,
    );
  return path;
}
