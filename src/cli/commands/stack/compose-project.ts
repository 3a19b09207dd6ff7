/** The files that a command line names, read and merged. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import { type ComposeProject, type ComposeSource, loadProject } from '../../../compose/index.ts';
import { CliError } from '../../cli-errors.ts';
import type { Invocation } from '../../command.ts';
import { COMPOSE_FILE, ENV_FILE, PROFILE } from './stack-flags.ts';

export interface ProjectOptions {
  /** What `${COMPOSE_PROJECT_NAME}` stands for. */
  readonly stack: string | undefined;
  readonly interpolates: boolean;
}

/** Throws a CliError with file, line and column of what is wrong. */
export async function readProject(
  { context, flags }: Pick<Invocation, 'context' | 'flags'>,
  { stack, interpolates }: ProjectOptions,
): Promise<ComposeProject> {
  const names = flags.list(COMPOSE_FILE);
  if (names.length === 0)
    throw new CliError('please specify a Compose file (with --compose-file)', {
      hint: 'swarm stack deploy --compose-file compose.yml NAME',
    });
  const sources: ComposeSource[] = [];
  for (const name of names)
    sources.push(name === '-' ? { name, content: await readAll(context.stdin.chunks()) } : { name });
  const project = stack === undefined ? {} : { COMPOSE_PROJECT_NAME: stack };
  return inOwnWords(() =>
    loadProject({
      sources,
      directory: process.cwd(),
      variables: { ...context.variables, ...project },
      envFiles: flags.list(ENV_FILE),
      profiles: [...flags.list(PROFILE), ...(context.variables.COMPOSE_PROFILES?.split(',') ?? [])],
      interpolates,
      read: readOrNothing,
    }),
  );
}

/** What a file says is no answer of the daemon. */
export async function inOwnWords<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof SwarmError) throw new CliError(thrown.message, { hint: thrown.hint });
    throw thrown;
  }
}

async function readAll(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts).toString();
}

const ABSENT: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'EISDIR']);

async function readOrNothing(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(resolve(path));
  } catch (thrown) {
    const error = thrown as NodeJS.ErrnoException;
    if (ABSENT.has(error.code ?? '')) return undefined;
    throw new CliError(`cannot read ${path}: ${error.message}`);
  }
}
