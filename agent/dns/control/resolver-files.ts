/** Where the resolver keeps things, all below one directory of its own. */
import { join } from 'node:path';

export interface ResolverFiles {
  readonly directory: string;
  /** Socket of the process that answers. */
  readonly socket: string;
  /** Socket of the one that is to take its place. */
  readonly nextSocket: string;
  /** Copy of all that it was told. */
  readonly state: string;
  readonly log: string;
}

export function resolverFiles(directory: string): ResolverFiles {
  return {
    directory,
    socket: join(directory, 'control.sock'),
    nextSocket: join(directory, 'next.sock'),
    state: join(directory, 'state'),
    log: join(directory, 'resolver.log'),
  };
}
