import { SOCKET_VARIABLE } from '../../../client/socket-path.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine, printWarning } from '../../context.ts';
import { CONTEXT_VARIABLE, checkContextName, contextPaths } from '../../contexts/context-paths.ts';
import { contextExists, unknownContext, useContext } from '../../contexts/context-store.ts';

export const contextUse: CommandImplementation = {
  flags: [],
  examples: ['swarm context use prod', '# the daemon of this machine\nswarm context use default'],
  argumentKind: 'context',
  run: use,
};

async function use({ context, arguments: [name = ''] }: Invocation): Promise<void> {
  const paths = contextPaths(context.variables);
  checkContextName(name);
  if (!(await contextExists(paths, name))) throw unknownContext(name);
  await useContext(paths, name);
  printLine(context, name);
  for (const variable of [SOCKET_VARIABLE, CONTEXT_VARIABLE])
    if ((context.variables[variable] ?? '') !== '')
      printWarning(
        context,
        `Warning: ${variable} environment variable overrides the active context. To use ${JSON.stringify(name)}, either set the global --context flag, or unset ${variable} environment variable.`,
      );
  printWarning(context, `Current context is now ${JSON.stringify(name)}`);
}
