import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { checkContextName, contextPaths, currentContext, DEFAULT_CONTEXT } from '../../contexts/context-paths.ts';
import { contextExists, removeContext, unknownContext, useContext } from '../../contexts/context-store.ts';
import { boolFlag } from '../../flags.ts';
import { collectFailures } from '../shared/each.ts';

const FORCE = boolFlag({ name: 'force', short: 'f', usage: 'Force the removal of a context in use' });

export const contextRm: CommandImplementation = {
  flags: [FORCE],
  examples: ['swarm context rm staging', 'swarm context rm --force prod'],
  argumentKind: 'context',
  run: remove,
};

async function remove({ context, flags, arguments: names }: Invocation): Promise<void> {
  const paths = contextPaths(context.variables);
  const current = await currentContext(paths);
  const failures = collectFailures();
  for (const name of names)
    await failures.attempt(async () => {
      if (name === DEFAULT_CONTEXT)
        throw new CliError(`context "default" cannot be removed`, { hint: 'it is the daemon of this machine' });
      checkContextName(name);
      if (!(await contextExists(paths, name))) {
        if (flags.isSet(FORCE)) return;
        throw unknownContext(name);
      }
      if (name === current) {
        if (!flags.isSet(FORCE))
          throw new CliError(`context ${JSON.stringify(name)} is in use, set -f flag to force remove`, {
            hint: 'or use another first: swarm context use default',
          });
        await useContext(paths, DEFAULT_CONTEXT);
      }
      await removeContext(paths, name);
      printLine(context, name);
    });
  failures.report();
}
