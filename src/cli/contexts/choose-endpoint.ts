/** To which daemon a command line speaks, in Docker's order: flags, the socket's variable, the context's, the current context. */
import { SOCKET_VARIABLE } from '../../client/socket-path.ts';
import { FlagValueError } from '../cli-errors.ts';
import type { FlagValues } from '../flags.ts';
import { CONTEXT, chosenSocket, HOST, SOCKET } from '../global-flags.ts';
import { CONTEXT_VARIABLE, checkContextName, contextPaths, currentContext, DEFAULT_CONTEXT } from './context-paths.ts';

export type Endpoint =
  /** The daemon of this machine. */
  | { readonly kind: 'socket'; readonly path: string }
  /** Managers elsewhere. */
  | { readonly kind: 'context'; readonly name: string };

type Variables = Readonly<Record<string, string | undefined>>;

/** @throws FlagValueError for flags that contradict each other */
export function endpointChooser(flags: FlagValues, variables: Variables): () => Promise<Endpoint> {
  const socket = chosenSocket(flags, variables);
  const named = flags.value(CONTEXT);
  if (named !== undefined && flags.anyGiven(SOCKET, HOST))
    throw new FlagValueError('conflicting options: cannot specify both --host and --context', 'leave one of them out');
  const isSocketNamed = flags.anyGiven(SOCKET, HOST) || (variables[SOCKET_VARIABLE] ?? '') !== '';
  return async () => {
    const name = named ?? (isSocketNamed ? DEFAULT_CONTEXT : variables[CONTEXT_VARIABLE] || undefined);
    const chosen = name ?? (await currentContext(contextPaths(variables)));
    if (chosen === DEFAULT_CONTEXT) return { kind: 'socket', path: socket };
    return { kind: 'context', name: checkContextName(chosen) };
  };
}
