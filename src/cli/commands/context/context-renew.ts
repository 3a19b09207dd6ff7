import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printLine } from '../../context.ts';
import { contextPaths, DEFAULT_CONTEXT } from '../../contexts/context-paths.ts';
import { currentName } from './known-contexts.ts';

export const contextRenew: CommandImplementation = {
  flags: [],
  examples: ['swarm context renew', 'swarm context renew prod'],
  argumentKind: 'context',
  run: renew,
};

/** Commands do it by themselves when a third of the time is left. */
async function renew({ context, arguments: [given] }: Invocation): Promise<void> {
  const name = given ?? (await currentName(context));
  if (name === DEFAULT_CONTEXT)
    throw new CliError('the context "default" has no certificate: it is the daemon of this machine', {
      hint: 'name a context: see `swarm context ls`',
    });
  const { connectContext } = await import('../../contexts/connect-context.ts');
  const { renewContext } = await import('../../contexts/renew-context.ts');
  const api = await connectContext(name, context);
  try {
    const { facts } = await renewContext(api, contextPaths(context.variables), name);
    printLine(context, `Renewed context ${name}: its certificate holds until ${facts.expiresAt}.`);
  } finally {
    api.close();
  }
}
