import { stat } from 'node:fs/promises';
import { readBounded } from '../../bounded-file.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { type CliContext, printLine, printWarning } from '../../context.ts';
import {
  BUNDLE_BYTES_MAX,
  bundleIdentity,
  type ClientBundle,
  damaged,
  readBundle,
} from '../../contexts/client-bundle.ts';
import { checkContextName, contextPaths } from '../../contexts/context-paths.ts';
import { addContext, readBundleDirectory } from '../../contexts/context-store.ts';
import { boolFlag } from '../../flags.ts';
import { openError } from '../image/open-error.ts';

const FORCE = boolFlag({ name: 'force', usage: 'Replace a context of that name' });

export const contextImport: CommandImplementation = {
  flags: [FORCE],
  examples: [
    'swarm context import prod ./ci-bundle',
    'ssh m1 swarm client create me --role admin --output - | swarm context import prod -',
  ],
  argumentKind: 'file',
  run: importContext,
};

async function importContext({ context, flags, arguments: [name = '', source = ''] }: Invocation): Promise<void> {
  checkContextName(name);
  const bundle = await readSource(context, source);
  const what = source === '-' ? 'the bundle' : `the bundle ${source}`;
  const { notAfterMs } = bundleIdentity(bundle, what);
  if (notAfterMs < context.clock.now())
    throw new CliError(`${what} expired at ${new Date(notAfterMs).toISOString()}`, {
      hint: 'check the clock; if it is right, ask an administrator for a new one: swarm client renew',
    });
  await addContext(contextPaths(context.variables), name, bundle, flags.isSet(FORCE));
  printLine(context, name);
  printWarning(
    context,
    `Successfully imported context ${JSON.stringify(name)}. Use it with: swarm context use ${name}`,
  );
}

async function readSource(context: CliContext, source: string): Promise<ClientBundle> {
  if (source === '-') return readBundle(await readInput(context), 'the bundle');
  try {
    if ((await stat(source)).isDirectory()) return await readBundleDirectory(source, `the bundle ${source}`);
    const bytes = await readBounded(source, BUNDLE_BYTES_MAX);
    if (bytes === undefined) throw damaged(`the bundle ${source}`, 'it is too large');
    return readBundle(bytes.toString('utf8'), `the bundle ${source}`);
  } catch (thrown) {
    if (thrown instanceof CliError) throw thrown;
    throw openError('open', source, thrown);
  }
}

async function readInput({ stdin }: CliContext): Promise<string> {
  if (stdin.isTerminal)
    throw new CliError('no bundle comes on standard input', {
      hint: 'pipe one in: ssh MANAGER swarm client create NAME --output - | swarm context import CONTEXT -',
    });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stdin.chunks()) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > BUNDLE_BYTES_MAX) throw damaged('the bundle', 'it is too large');
  }
  return Buffer.concat(chunks).toString('utf8');
}
