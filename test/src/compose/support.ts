/** Compose files in memory. */
import { join } from 'node:path';
import { type ComposeProject, type ConvertedStack, loadProject, toStack } from '#src/compose/index.ts';
import { plain } from '#src/compose/tree.ts';

export interface Files {
  readonly [path: string]: string;
}

export interface ProjectOptions {
  readonly files?: Files;
  readonly variables?: Readonly<Record<string, string>>;
  readonly profiles?: readonly string[];
  readonly envFiles?: readonly string[];
}

export const DIRECTORY = '/project';

/** The named files one over the other; paths that are not absolute are below `DIRECTORY`. */
export function project(sources: readonly string[], options: ProjectOptions = {}): Promise<ComposeProject> {
  const files = new Map(
    Object.entries(options.files ?? {}).map(([path, content]) => [
      path.startsWith('/') ? path : join(DIRECTORY, path),
      content,
    ]),
  );
  return loadProject({
    sources: sources.map((name) => ({ name })),
    directory: DIRECTORY,
    variables: options.variables ?? {},
    envFiles: options.envFiles ?? [],
    profiles: options.profiles ?? [],
    read: async (path) => {
      const content = files.get(path);
      return content === undefined ? undefined : Buffer.from(content);
    },
  });
}

/** One file as plain values, merged over by the others. */
export async function merged(...contents: readonly string[]): Promise<unknown> {
  const names = contents.map((_, i) => `${i}.yml`);
  const files = Object.fromEntries(contents.map((content, i) => [`${i}.yml`, content]));
  const { root, problems } = await project(names, { files });
  problems.refuse();
  return plain(root);
}

export async function stack(content: string, options: ProjectOptions = {}): Promise<ConvertedStack> {
  return toStack(await project(['c.yml'], { ...options, files: { ...options.files, 'c.yml': content } }), 'app');
}

/** What the file is refused with. */
export async function refusal(content: string, options: ProjectOptions = {}): Promise<string> {
  try {
    await stack(content, options);
  } catch (thrown) {
    return (thrown as Error).message;
  }
  throw new Error('the file was taken');
}
