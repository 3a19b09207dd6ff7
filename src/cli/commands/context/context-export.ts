import { lstat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { writeFileAtomic } from '#common/system/atomic-file.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { printWarning } from '../../context.ts';
import { writeBundle } from '../../contexts/client-bundle.ts';
import { contextPaths, DEFAULT_CONTEXT } from '../../contexts/context-paths.ts';
import { readContext } from '../../contexts/context-store.ts';

export const contextExport: CommandImplementation = {
  flags: [],
  examples: ['swarm context export prod', 'swarm context export prod - | ssh laptop swarm context import prod -'],
  argumentKind: 'context',
  run: exportContext,
};

async function exportContext({ context, arguments: [name = '', file] }: Invocation): Promise<void> {
  if (name === DEFAULT_CONTEXT)
    throw new CliError('the context "default" cannot be exported', { hint: 'it is the daemon of this machine' });
  const document = writeBundle(await readContext(contextPaths(context.variables), name));
  if (file === '-') {
    if (context.stdout.isTerminal) throw new CliError('cowardly refusing to export to a terminal, specify a file path');
    context.stdout.write(document);
    return;
  }
  const given = file ?? `${name}.swarmcontext`;
  const path = resolve(given);
  const isThere = await lstat(path).then(
    () => true,
    () => false,
  );
  if (isThere) throw new CliError(`${given} exists`, { hint: 'name another file' });
  await writeFileAtomic(path, document, 0o600);
  printWarning(context, `Written file ${JSON.stringify(given)}. It has the key of the context: keep it secret.`);
}
