/** Contexts as they are listed: with what is wrong with those that cannot be used. */
import { CliError } from '../../cli-errors.ts';
import type { CliContext } from '../../context.ts';
import { bundleIdentity, type ClientBundle } from '../../contexts/client-bundle.ts';
import { contextNames, contextPaths, DEFAULT_CONTEXT } from '../../contexts/context-paths.ts';
import { readContext } from '../../contexts/context-store.ts';

export interface KnownContext {
  readonly name: string;
  readonly isCurrent: boolean;
  /** Undefined for the daemon of this machine, and for a context that cannot be used. */
  readonly bundle: ClientBundle | undefined;
  readonly notAfterMs: number | undefined;
  /** Why it cannot be used. */
  readonly error: string;
}

/** The name of the one that this command line would use. */
export async function currentName(context: CliContext): Promise<string> {
  const endpoint = await context.endpoint();
  return endpoint.kind === 'context' ? endpoint.name : DEFAULT_CONTEXT;
}

export async function knownContexts(context: CliContext): Promise<readonly KnownContext[]> {
  const paths = contextPaths(context.variables);
  const current = await currentName(context);
  const all: KnownContext[] = [
    {
      name: DEFAULT_CONTEXT,
      isCurrent: current === DEFAULT_CONTEXT,
      bundle: undefined,
      notAfterMs: undefined,
      error: '',
    },
  ];
  for (const name of await contextNames(paths)) {
    const known = { name, isCurrent: current === name };
    try {
      const bundle = await readContext(paths, name);
      const { notAfterMs } = bundleIdentity(bundle, `context ${name}`);
      all.push({ ...known, bundle, notAfterMs, error: '' });
    } catch (thrown) {
      if (!(thrown instanceof CliError)) throw thrown;
      all.push({ ...known, bundle: undefined, notAfterMs: undefined, error: thrown.message });
    }
  }
  return all;
}
